// Forms beside the call: a new customer, the customer's data, words on a ticket, a flow's questions. None is drawn again while somebody types in it.
import { $, el, open, put, say, shut } from "./hands.js";
import { ask, desk, draw, link } from "./here.js";
import { form, titled } from "./flows.js";
import { tickets } from "./parts.js";
import { because, t } from "./say.js";
import { customerForm, ticketForm } from "./tickets.js";

const made = new Map(); // call -> what was done about an unknown number
export const remembered = (call) => made.get(call);

export async function attach(call, candidate) {
  if (await ask("customer.attach", { call, candidate })) { made.set(call, t("attached")); say("status", t("attached")); draw(); }
}
export function maker(call, systems) {
  $("maker").dataset.call = call;
  $("make-system").replaceChildren(...systems.map((s) => Object.assign(document.createElement("option"), { value: s, textContent: desk.named(s) })));
  $("make-where").hidden = systems.length < 2;
  put($("maker-says"), "");
  open("maker");
  $("make-name").focus();
}
$("make").onsubmit = async (e) => {
  e.preventDefault();
  const call = $("maker").dataset.call, name = $("make-name").value.trim();
  if (!name) return;
  const body = { call, name, system: $("make-system").value };
  for (const field of ["company", "email"]) { const text = $(`make-${field}`).value.trim(); if (text) body[field] = text; }
  put($("maker-says"), t("sending"));
  try {
    await link.ask("customer.create", body);
    made.set(call, t("created", { name, s: desk.named(body.system) }));
    say("status", made.get(call));
    shut("maker");
    $("make").reset();
  } catch (failed) { put($("maker-says"), because(failed)); }
  draw();
};
$("make-shut").onclick = () => shut("maker");

export function edit(call, customer, fields) {
  const system = customer.link.system;
  const send = async (body) => {
    try { await link.ask("customer.update", { call, system, ...body }); tickets.sent(call, "customer.update", system); say("status", t("wish.accepted")); shut("editor"); } catch (failed) { return because(failed); }
  };
  $("editor").replaceChildren(customerForm(customer.facts ?? {}, fields, { el }, send, () => shut("editor")));
  $("editor").dataset.call = call;
  open("editor");
  $("editor").querySelector("input")?.focus();
}
export function ticketing(call, system, item, verbs) {
  const send = async (what, operation, body) => {
    try { await link.ask(what, { call, ticket: { system, id: String(item.id) }, ...body }); tickets.sent(call, operation, system, String(item.id)); say("status", t("wish.accepted")); shut("ticketing"); } catch (failed) { return because(failed); }
  };
  $("ticketing").replaceChildren(ticketForm(item, verbs, { el }, send, () => shut("ticketing")));
  $("ticketing").dataset.call = call;
  open("ticketing");
  $("ticketing").querySelector("select")?.focus();
}
export function begin(offer, call) {
  const send = async (inputs) => {
    try { await link.ask("flow.start", { name: offer.name, call, inputs }); say("status", t("flow.begun", { s: titled(offer.title, offer.name) })); shut("flow"); } catch (failed) { return because(failed); }
  };
  $("flow").replaceChildren(form(offer, { el }, send, () => shut("flow")));
  open("flow");
  $("flow").querySelector("input, select, textarea")?.focus();
}
/** What belongs to a call that is gone is closed with it. */
export function prune() {
  for (const id of ["to", "maker", "ticketing", "editor"]) if ($(id).open && !desk.calls.has($(id).dataset.call)) shut(id);
}
