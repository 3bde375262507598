// What an agent writes and does: notes that save themselves, the outcome, attributes, what is begun and what is under way, the wrap-up's end.
import { noted } from "./day.js";
import { phase } from "./desk.js";
import { theirs } from "./facts.js";
import { picture, titled } from "./flows.js";
import { begin } from "./forms.js";
import { $, button, el, fill, icon, put, say } from "./hands.js";
import { hush } from "./heard.js";
import { ask, desk, draw, link } from "./here.js";
import { erase, keep, kept } from "./keep.js";
import { begun, drawOutcome, pathOf, remember } from "./outcome.js";
import { flows, tickets } from "./parts.js";
import { because, t } from "./say.js";
import { named } from "./strip.js";
import { show } from "./tabs.js";
import { told as wishTold } from "./tickets.js";

export const drafts = new Map(); // call -> words not yet saved
const sent = new Set(); // wrap-ups on their way
const words = new Map(); // call -> what the daemon has
const troubles = new Map(); // call -> why it has not
const forms = new Map(); // call -> { outcome, ticket }
const wanted = new Set(); // calls whose customer asked to be called back
let drawn = ""; // whose words stand in the note field
const AGAIN_MS = 5_000;
const timers = new Map(); // call -> when its words are sent: hands may be at another call by then

export const sending = (call) => sent.has(call);
/** What lies in this browser from before. */
export async function reclaim() {
  for (const [call, text] of await kept(desk.me)) if (!drafts.has(call)) { drafts.set(call, text); void save(call); }
  draw();
}
export async function forget(call, text) {
  drafts.delete(call);
  await keep(desk.me, call, text);
  await erase(desk.me, call, text);
  draw();
}

// Kept at every key, sent when the hand rests.
$("notes").oninput = () => {
  const call = $("notes").dataset.call;
  if (!call) return;
  drafts.set(call, $("notes").value);
  void keep(desk.me, call, $("notes").value);
  clearTimeout(timers.get(call));
  timers.set(call, setTimeout(() => void save(call), 600));
  drawDo();
};
async function save(call) {
  clearTimeout(timers.get(call));
  timers.delete(call);
  const text = drafts.get(call);
  if (text === undefined || sent.has(call)) return;
  try {
    await link.ask("notes.set", { call, text });
    saved(call, text);
  } catch (failed) {
    if (!troubles.has(call)) say("status", t("kept"));
    troubles.set(call, failed);
    // A full disk is cleared while a call is still up, and nobody types on to have it seen.
    if (failed.code === "unavailable" && !timers.has(call)) timers.set(call, setTimeout(() => void save(call), AGAIN_MS));
  }
  draw();
}
function saved(call, text) {
  words.set(call, text);
  troubles.delete(call);
  if (drafts.get(call) === text) drafts.delete(call);
  void erase(desk.me, call, text);
}
export async function done() {
  const call = desk.call;
  if (phase(call) !== "wrapup" || sent.has(call.pop.call)) return;
  const id = call.pop.call, notes = $("notes").value, disposition = pathOf($("outcome").value);
  if (call.pop.outcome_required && !disposition.length) { say("alert", because({ code: "outcome-required" })); show("do"); $("outcome").focus(); return; }
  clearTimeout(timers.get(id));
  timers.delete(id);
  sent.add(id);
  drafts.set(id, notes);
  await keep(desk.me, id, notes);
  draw();
  try {
    await link.ask("wrapup.submit", { call: id, disposition, notes, ticket: $("ticket").checked });
    saved(id, notes);
    remember(disposition, call.pop.queue?.id);
    forms.delete(id);
    noted(call);
    desk.finish(id);
    draw();
    if (!desk.call) $("seek").focus();
  } catch (failed) {
    troubles.set(`done ${id}`, failed);
    say("alert", because(failed));
  }
  sent.delete(id);
  draw();
}
$("done").onclick = () => void done();

export function drawDo() {
  const call = desk.call, id = call?.pop.call ?? "";
  hush(id);
  const notes = $("notes");
  if (drawn !== id) { // another call, other words; the same call never has its words changed under the hand
    // Hands that still type of the call before must not write of this one.
    if ($("do").contains(document.activeElement)) $("name").focus();
    drawn = id;
    notes.value = call ? drafts.get(id) ?? words.get(id) ?? call.notes : "";
    notes.dataset.call = id;
    const form = forms.get(id) ?? { outcome: "", ticket: false };
    $("outcome").value = form.outcome;
    $("ticket").checked = form.ticket;
    begun();
  } else if (call && drafts.has(id) && !notes.value && document.activeElement !== notes) notes.value = drafts.get(id);
  for (const field of [notes, $("outcome"), $("ticket")]) field.disabled = !call || sent.has(id);
  $("wants-back").disabled = !call || wanted.has(id) || call.pop.number?.class === "anonymous";
  put($("wants-back"), t(wanted.has(id) ? "callback.asked-done" : "callback.ask"));
  notes.placeholder = t("notes.hint");
  const unsaved = drafts.has(id), trouble = troubles.get(id);
  fill($("saved"), [unsaved, words.has(id), trouble?.code, !!desk.frozen], () => {
    if (!call) return [];
    if (unsaved) return [t(trouble?.code === "unknown-call" ? "too-late" : desk.frozen || trouble ? "kept" : "saving")];
    return words.has(id) ? [icon("ok"), t("saved")] : [];
  });
  fill($("others"), call?.pop.notes, () => (call?.pop.notes?.length ? [el("p", "head", t("others")), ...call.pop.notes.map((n) => el("p", "said", el("i", "", `${n.agent} `), n.text))] : []));
  drawOutcome(call);
  drawGiven(call, id);
  fill($("acts"), [id, flows.offers, call && theirs(call.pop) !== undefined], () => (call ? [...flows.offers.map((o) => button(titled(o.title, o.name), () => begin(o, id), `flow ${o.name}`)), theirs(call.pop)].filter(Boolean) : []));
  fill($("under-way"), call ? [flows.of(id), tickets.of(id)] : [], () => underWay(id));
  const failed = troubles.get(`done ${id}`);
  put($("do-says"), failed ? because(failed) : sent.has(id) ? t("sending") : "");
}
// Attributes that agents may write. The field is drawn once; what is under the hand is never changed.
function drawGiven(call, id) {
  const fields = call?.pop.actions.includes("attribute.set") ? call.pop.fields?.filter((f) => f.writable) ?? [] : [];
  fill($("given"), [id, fields], () => fields.map((f) => {
    const input = el(f.choices ? "select" : "input");
    if (f.choices) input.append(...["", ...f.choices].map((c) => Object.assign(document.createElement("option"), { value: c, textContent: c || "—" })));
    else Object.assign(input, { maxLength: f.cap, autocomplete: "off", inputMode: f.type === "digits" ? "numeric" : f.type === "number" ? "decimal" : "text", type: f.type === "date" ? "date" : "text" });
    input.dataset.key = `given ${f.name}`;
    input.dataset.name = f.name;
    input.onchange = async () => input.setAttribute("aria-invalid", String(!(await ask("attribute.set", { call: id, name: f.name, value: input.value.trim() }))));
    return el("label", "pairs", el("span", "hint", named(f, f.name)), input);
  }));
  for (const input of /** @type {NodeListOf<HTMLInputElement>} */ ($("given").querySelectorAll("[data-name]"))) {
    const value = call?.pop.attributes?.[input.dataset.name] ?? "";
    if (document.activeElement !== input && input.value !== value) input.value = value;
  }
}
/** Flows with their steps, and what was asked of business systems with what became of it. */
function underWay(call) {
  const list = tickets.of(call), all = flows.of(call);
  if (!call || (!list.length && !all.length)) return [];
  const parts = all.map((f) => picture(f, { el, button }, (what, body) => void ask(what, body)));
  const marks = { done: "ok", later: "clock", refused: "warn", person: "warn", accepted: "clock" }, tones = { done: "green", later: "amber", refused: "red", person: "red" };
  if (list.length) parts.push(el("ul", "wishes", ...list.map((w) => el("li", `wish ${w.state}`, el("span", tones[w.state] ?? "grey", icon(marks[w.state] ?? "clock")), el("span", "", wishTold(w, desk.named(w.system)))))));
  return [el("p", "head", el("span", "name", t("under-way"))), ...parts];
}

for (const field of ["outcome", "ticket"]) $(field).addEventListener("input", () => forms.set(drawn, { outcome: $("outcome").value, ticket: $("ticket").checked }));
$("wants-back").onclick = async () => {
  const call = desk.call?.pop.call;
  if (call && await ask("callback.ask", { call })) { wanted.add(call); say("status", t("callback.asked-done")); draw(); }
};
