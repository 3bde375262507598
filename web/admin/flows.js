// Flows, and what in them waits for a person.
import { ask, query } from "./ask.js";
import { Kept, choice, doing, dot, head, html, may, nothing, pairs, panel, section, shared, shown, table, time, tree, why } from "./parts.js";
import { here } from "./route.js";
import { own, t } from "./say.js";

const list = new Kept(), one = new Kept();
const colours = { running: "blue", approval: "amber", undoing: "amber", person: "red", done: "green", undone: "grey" };
const steps = { open: "grey", trying: "blue", approval: "amber", answer: "amber", done: "green", skipped: "grey", failed: "red", person: "red", undoing: "amber", undone: "grey" };
const stands = (flow) => dot(colours[flow.state] ?? "grey", t(`flow.${flow.state}`, {}, flow.state));
const name = (flow) => own(flow.title, flow.name ?? flow.flow);
const tasks = (flow) => (flow.tasks ?? []).filter((task) => !task.settled);

const say = (id, task, what, note) => doing(async () => (await ask(`/v1/flows/${encodeURIComponent(id)}/tasks/${task.task}`, { what, ...(note ? { note } : {}) })) && t("task.said"), soon);
async function judged(id, task, what) {
  const note = await why({ title: t(`task.${what}`), text: t(`task.${what}.text`), label: t("task.note"), hint: t("flow.why.hint"), act: t(`task.${what}`), required: false });
  if (note !== undefined) await say(id, task, what, note);
}
async function stop(id, flow) {
  const said = await why({ title: t("flow.stop.title", { flow: name(flow) }), text: t("flow.stop.text"), hint: t("flow.why.hint"), act: t("flow.stop") });
  if (said) await doing(async () => (await ask(`/v1/flows/${encodeURIComponent(id)}/stop`, { why: said })) && t("task.said"), soon);
}
/** It is heard within a second. */
async function soon() { await new Promise((go) => setTimeout(go, 1100)); await page.load(); }

const task = (id, it) => html`<li><p><b>${t(`task.kind.${it.kind}`, {}, it.kind)}</b> ${it.step}</p><p>${it.reason}</p>
  ${pairs([[t("system"), `${it.system} · ${it.operation}`], [t("effect.key"), html`<code>${it.key}</code>`], [t("task.taken"), it.taken]])}
  <details><summary>${t("task.inputs")}</summary>${tree(it.inputs)}</details>
  ${may("work") ? html`<div class="acts-of">${it.taken ? nothing : html`<button type="button" @click=${() => say(id, it, "take")}>${t("task.take")}</button>`}${["done", "not-done", "again"].map((what) => html`<button type="button" @click=${() => judged(id, it, what)}>${t(`task.${what}`)}</button>`)}</div>` : nothing}</li>`;

const page = {
  id: "flows", right: "see", site: false, every: 5000,
  wrong: (o) => o.flows_person,
  async load() {
    const { show, row } = here().of;
    const work = [list.load(`/v1/flows${query({ all: show === "all" || "", person: show === "person" || "" })}`)];
    if (row) work.push(one.load(`/v1/flows/${encodeURIComponent(row)}`));
    await Promise.all(work);
  },
  view: () => html`${head({ title: t("page.flows"), line: shared.overview && t(shared.overview.flows_person ? "flows.line" : "flows.well", { n: shared.overview.flows_open, person: shared.overview.flows_person }) })}
    <div class="filters" role="search" aria-label=${t("filters")}>${choice("show", t("show"), [["", t("flows.open")], ["person", t("flows.person")], ["all", t("flows.all")]])}</div>
    ${shown(list, (rows) => table({
      label: t("page.flows"), rows, id: (r) => r.id, empty: t("flows.empty"),
      columns: [[t("flow")], [t("state")], [t("flow.steps"), "digits"], [t("flow.tasks"), "digits"], [t("agent")], [t("flow.since")]],
      cells: ({ flow: f }) => [name(f), stands(f), f.steps ? `${f.steps.filter((s) => ["done", "skipped", "undone"].includes(s.state)).length} / ${f.steps.length}` : "—", tasks(f).length || "—", f.agent ?? "—", time(f.at)],
    }))}`,
  panel() {
    const { row } = here().of, it = one.data;
    if (!row || it?.id !== row) return undefined;
    const f = it.flow, back = ["done", "undone", "undoing"].includes(f.state) || tasks(f).some((one) => one.kind === "undo");
    return panel(name(f), html`${stands(f)}${f.reason ? html`<p>${f.reason}</p>` : nothing}${f.unreadable ? html`<p class="red">${f.unreadable}</p>` : nothing}
      ${tasks(f).length ? section(t("flow.tasks"), html`<ul class="cards">${tasks(f).map((one) => task(it.id, one))}</ul>`) : nothing}
      ${section(t("flow.steps"), html`<ol class="stages">${(f.steps ?? []).map((s) => html`<li>${dot(steps[s.state] ?? "grey", t(`step.${s.state}`, {}, s.state))} <b>${own(s.title, s.step)}</b> ${s.at ? time(s.at) : nothing}${s.reason ? html`<span class="ink3">${s.reason}</span>` : nothing}</li>`)}</ol>`)}
      ${pairs([[t("call"), f.call && html`<a href=${`#/records?row=${f.call}`}>${f.call}</a>`], [t("agent"), f.agent], [t("flow.id"), html`<code>${it.id}</code>`]])}
      ${may("work") && !back ? html`<div class="acts-of"><button type="button" class="danger" @click=${() => stop(it.id, f)}>${t("flow.stop")}</button></div>` : nothing}`);
  },
};
export default page;
