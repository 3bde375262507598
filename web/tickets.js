// What can be done at business systems from here: tickets and customers' data; and what became of what was asked for. No document is touched here but by
// the two forms, which are handed the page's own hands.
import { label, t, told as why } from "./say.js";

/** An address that may become a link. The daemon takes it from the connector's own hosts only; the page looks once more. */
export const address = (url) => (/^https?:\/\//.test(url ?? "") ? url : "");

/** One tab for records, used again for the next call. Its opener is an empty frame: so it is found again by its name, and no way leads from it to this page.
 *  False: the browser does not let it open. */
let frame;
export function showRecord(url) {
  if (!frame) {
    frame = document.createElement("iframe");
    frame.hidden = true;
    document.body.append(frame);
  }
  return frame.contentWindow.open(url, "linecard-record") !== null;
}

export class Tickets {
  systems = [];
  #news = new Map(); // call -> what became of what was asked for, newest first
  #changed;

  constructor(changed) { this.#changed = changed; }

  take(frame) {
    if (frame.type === "welcome") this.systems = frame.systems ?? [];
    else if (frame.type === "snapshot") for (const { pop, wishes = [] } of frame.calls) this.#news.set(pop.call, [...wishes].reverse());
    else if (frame.type === "wish.changed") {
      const list = this.of(frame.call), same = (w) => (w.wish ? w.wish === frame.wish : w.what === frame.what && w.system === frame.system && w.ticket === frame.ticket);
      const at = list.findIndex(same);
      if (at < 0) list.unshift(frame); else list[at] = frame;
      this.#news.set(frame.call, list.slice(0, 50));
      this.#changed();
      return frame;
    }
  }

  /** Asked for and durable; what the system says to it comes later. */
  sent(call, what, system, ticket) {
    this.#news.set(call, [{ call, what, system, ticket, state: "accepted" }, ...this.of(call)]);
    this.#changed();
  }
  of(call) { return this.#news.get(call) ?? []; }
  #at(system) { return this.systems.find((s) => s.id === system); }
  /** What may be done to a ticket of this system. */
  verbs(system) { return (this.#at(system)?.tickets ?? []).filter((verb) => verb !== "search"); }
  get searches() { return this.systems.some((s) => s.tickets.includes("search")); }
  /** The customer's fields that may be changed there. */
  fields(system) { return this.#at(system)?.update ?? []; }
}

const operations = { comment: "note.add", reopen: "ticket.reopen", assign: "ticket.assign", escalate: "ticket.escalate" };

/** In words: what was asked for at the system of this name, and how it stands. */
export const told = (w, system) => [t(`wish.${w.what}`, { n: w.ticket ? `#${w.ticket}` : "", s: system }), t(`wish.${w.state}`), why(w, system)].filter(Boolean).join(" · ");

/** Words on a ticket, and what else may be done to it. `send` gives nothing, or why it could not be. */
export function ticketForm(ticket, verbs, { el }, send, shut) {
  const kind = el("select"), text = el("textarea"), to = el("input"), priority = el("input"), into = el("input"), says = el("p", "says");
  kind.append(...verbs.map((verb) => Object.assign(document.createElement("option"), { value: verb, textContent: t(`ticket.${verb}`) })));
  Object.assign(text, { maxLength: 20000, rows: 4 });
  for (const input of [to, priority, into]) Object.assign(input, { autocomplete: "off", maxLength: 100 });
  const line = (key, input) => el("label", "pairs", el("span", "hint", t(key)), input);
  const lines = { text: line("ticket.text", text), to: line("ticket.to", to), priority: line("ticket.priority", priority), into: line("ticket.into", into) };
  const wanted = { comment: ["text"], reopen: ["text"], assign: ["to"], escalate: ["text", "priority", "into"] };
  const show = () => { for (const [name, e] of Object.entries(lines)) e.hidden = !wanted[kind.value]?.includes(name); text.required = wanted[kind.value]?.includes("text"); };
  kind.onchange = show;
  const go = el("button", "strong", t("ticket.send")), close = el("button", "", t("close"));
  close.type = "button";
  close.onclick = shut;
  const title = [/^[\w-]{1,12}$/.test(ticket.id) ? `#${ticket.id}` : "", ticket.subject ?? ticket.title].filter(Boolean).join(" ");
  const form = el("form", "", el("h2", "", title || ticket.id), line("ticket.what", kind), ...Object.values(lines), el("div", "row", go, close), says);
  form.onsubmit = async (e) => {
    e.preventDefault();
    const verb = kind.value, body = {};
    const given = { text: text.value.trim(), to: to.value.trim(), priority: priority.value.trim(), into: into.value.trim() };
    for (const name of wanted[verb]) if (given[name]) body[name] = given[name];
    if (wanted[verb].includes("text") && !body.text) return;
    says.textContent = t("sending");
    says.textContent = (await send(`ticket.${verb}`, operations[verb], body)) ?? "";
  };
  show();
  return form;
}

/** What is known of the customer, to be changed. What is left as it is, is not sent. */
export function customerForm(facts, fields, { el }, send, shut) {
  const says = el("p", "says"), was = Object.fromEntries(fields.map((f) => [f, facts[f] === null || facts[f] === undefined ? "" : String(facts[f])]));
  const inputs = fields.map((f) => [f, Object.assign(el("input"), { value: was[f], autocomplete: "off", maxLength: 2000 })]);
  const go = el("button", "strong", t("customer.save")), close = el("button", "", t("close"));
  close.type = "button";
  close.onclick = shut;
  const form = el("form", "", ...inputs.map(([f, input]) => el("label", "pairs", el("span", "hint", label(f)), input)), el("div", "row", go, close), says);
  form.onsubmit = async (e) => {
    e.preventDefault();
    const changed = inputs.filter(([f, input]) => input.value.trim() !== was[f].trim());
    if (!changed.length) { shut(); return; }
    const body = { fields: Object.fromEntries(changed.map(([f, input]) => [f, input.value.trim()])), was: Object.fromEntries(changed.map(([f]) => [f, was[f]])) };
    says.textContent = t("sending");
    says.textContent = (await send(body)) ?? "";
  };
  return form;
}
