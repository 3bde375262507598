// Flows: which this agent may begin, and how those that are theirs to see go on. The list belongs to a socket; news come by themselves.
import { language, t, told } from "./say.js";

export class Flows {
  offers = [];
  list = [];
  #link;
  #changed;

  constructor(link, changed) {
    this.#link = link;
    this.#changed = changed;
  }

  async look() {
    try {
      const { flows } = await this.#link.ask("flow.list", {});
      this.offers = flows?.offers ?? [];
      this.list = flows?.list ?? [];
      this.#changed();
    } catch {
      // What was there stays; the next socket asks again.
    }
  }

  take(frame) {
    if (frame.type !== "flow.changed") return;
    const at = this.list.findIndex((f) => f.flow === frame.flow);
    if (at < 0) this.list.unshift(frame); else this.list[at] = frame;
    // What is over stays as long as its call may be looked at; the oldest of many go.
    if (this.list.length > 200) this.list.pop();
    this.#changed();
  }

  /** Of this call, newest first. */
  of(call) { return this.list.filter((f) => f.call === call); }

  /** What waits for this agent's word. */
  waiting() { return this.list.filter((f) => f.actions.some((a) => a === "flow.approve" || a === "flow.refuse" || a === "flow.task")); }
}

/** A title in the language of the page, else in any. */
export const titled = (titles, otherwise) => titles?.[language()] ?? titles?.[language().split("-")[0]] ?? titles?.en ?? Object.values(titles ?? {})[0] ?? otherwise;

/** One flow: its steps, and what may be said of it. `say` sends a word of it. */
export function picture(flow, { el, button }, say) {
  const hint = (kind, why) => (why ? el(kind, "hint", why) : "");
  const steps = flow.steps.filter((s) => s.state !== "skipped").map((s) => el("li", `step ${s.state}`, el("b", "", titled(s.title, s.step)),
    el("span", "source", t(`flow.step.${s.state}`)), hint("span", s.by ? t("flow.by", { who: s.by }) : told(s)), s.answer ? el("blockquote", "reply", el("b", "", s.answer.name), el("span", "", s.answer.text)) : ""));
  const waits = flow.steps.find((s) => s.state === "approval");
  const acts = [];
  if (waits && flow.actions.includes("flow.approve")) acts.push(button(t("flow.approve"), () => say("flow.approve", { flow: flow.flow, step: waits.step }), `${flow.flow} approve`, "strong"));
  if (waits && flow.actions.includes("flow.refuse")) acts.push(button(t("flow.refuse"), () => say("flow.refuse", { flow: flow.flow, step: waits.step }), `${flow.flow} refuse`));
  if (flow.actions.includes("flow.stop")) acts.push(button(t("flow.stop"), () => say("flow.stop", { flow: flow.flow }), `${flow.flow} stop`));
  const tasks = (flow.tasks ?? []).map((task) => el("div", "task", el("p", "red", t(`flow.task.${task.kind}`)),
    el("p", "hint", `${task.operation} · ${task.system} · ${task.key} · ${told(task, task.system)}`),
    el("p", "hint", Object.entries(task.inputs).filter(([k, v]) => k !== "key" && k !== "call" && v !== null).map(([k, v]) => `${k}: ${typeof v === "object" ? JSON.stringify(v) : v}`).join(" · ")),
    task.done.length ? el("p", "hint", t("flow.before", { s: task.done.map((d) => `${d.operation} · ${d.system}${d.id ? ` #${d.id}` : ""}`).join(", ") })) : "",
    task.taken ? el("p", "hint", t("flow.taken", { who: task.taken })) : "",
    el("div", "row", ...["take", "done", "not-done", "again"].map((what) => button(t(`flow.say.${what}`), () => say("flow.task", { flow: flow.flow, task: task.task, what }), `${flow.flow} ${task.task} ${what}`)))));
  const title = el("h2", "", titled(flow.title, flow.name), el("span", "source", [t(`flow.${flow.state}`), flow.amount, flow.agent].filter(Boolean).join(" · ")));
  return el("section", "block tall flow", title, el("ol", "list steps", ...steps), hint("p", told(flow)), ...tasks, el("div", "row", ...acts));
}

/** The questions of a flow, as a form; `send` is given the answers. */
export function form(offer, { el }, send, shut) {
  const fields = offer.inputs.map((i) => {
    const field = document.createElement(i.choices?.length ? "select" : i.type === "list" ? "textarea" : "input");
    if (i.choices?.length) field.append(...i.choices.map((c) => Object.assign(document.createElement("option"), { value: c, textContent: t(`flow.choice.${c}`, {}, c) })));
    if (i.type === "amount") { field.inputMode = "decimal"; field.autocomplete = "off"; }
    if (i.type === "date") field.setAttribute("type", "date");
    field.required = i.required;
    field.name = i.name;
    return el("label", "", titled(i.label, i.name), field);
  });
  const go = el("button", "strong", t("flow.begin"));
  const away = el("button", "", t("close"));
  away.type = "button";
  away.onclick = shut;
  const says = el("p", "says");
  const made = el("form", "", el("b", "", titled(offer.title, offer.name)), ...fields, el("div", "row", go, away), says);
  made.onsubmit = async (e) => {
    e.preventDefault();
    const inputs = {};
    for (const i of offer.inputs) {
      const text = made.elements[i.name].value.trim();
      if (text) inputs[i.name] = i.type === "list" ? text.split(/\s+/) : text;
    }
    go.disabled = true;
    says.textContent = t("sending");
    says.textContent = await send(inputs) ?? "";
    go.disabled = false;
  };
  return made;
}
