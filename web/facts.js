// What is known of the caller: four figures, then blocks in the order of the line's settings. Each has its source, its age and one of three looks where it
// has no facts: a bar that waits, the word "none", a dash with its reason. Whose they are is asked first, in the place of the figures.
import { customerOf } from "./desk.js";
import { $, away, button, composing, el, fill, icon } from "./hands.js";
import { ask, desk, draw, link } from "./here.js";
import { age, label, reason, t, told, tone, value } from "./say.js";
import { edit, maker, remembered, ticketing } from "./forms.js";
import { palette } from "./palette.js";
import { address } from "./tickets.js";
import { resting } from "./day.js";
import { tickets } from "./parts.js";

const known = (b) => b.state === "fresh" || b.state === "stale";
const shapes = new Map(); // system and kind -> the names of the fields it had last, so that the next card's figures wait under their own names
const opened = new Set(); // blocks that show more than their rows
const arrived = new Map(); // blocks that came late -> when
let choosing; // the call whose caller was asked for

export function drawFacts(is, call) {
  const rests = !call;
  fill($("facts"), rests ? ["rests", resting()] : [call.pop.pop, call.pop.card, call.pop.chosen, call.pop.actions, remembered(call.pop.call), tickets.systems, desk.frozen !== undefined, [...opened], desk.systems], () => {
    if (rests) return resting(true);
    const { pop } = call, { card } = pop, who = whoIs(pop);
    const asks = card.answer.state === "ambiguous" && pop.chosen === undefined, nobody = !customerOf(pop) && (pop.chosen === null || card.answer.state === "absent");
    const inPlace = who && (asks || nobody);
    const parts = [inPlace ? who : figures(pop)];
    if (card.answer.state === "unavailable") parts.push(el("p", "quiet red", icon("cut"), told(card.answer) || t("no-answer-yet")));
    // Of nobody nothing is known: empty blocks would only say it again.
    if (!asks) parts.push(...card.blocks.filter((b) => !(nobody && b.state === "absent")).map((b) => block(pop, b)));
    if (!inPlace) parts.push(who);
    return parts.filter(Boolean);
  });
  // A choice leads to what was chosen.
  if (call && choosing === call.pop.call && call.pop.chosen !== undefined) { choosing = undefined; $("facts").focus(); }
  tickAges();
}
export const tickAges = () => { for (const e of $("facts").querySelectorAll("time")) { e.textContent = age(Date.parse(e.dataset.at), link.now()); e.title = new Date(e.dataset.at).toLocaleString(document.documentElement.lang); } };

/** Where it is from and how old it is, or why it is not there. */
function sourceOf(b) {
  const mark = b.state === "stale" ? icon("clock") : b.state === "unavailable" ? icon("cut") : "";
  const source = el("span", `source ${b.state}`, mark, desk.named(b.system), " · ");
  if (known(b) && b.asked_at) { const time = el("time"); time.dataset.at = b.asked_at; time.tabIndex = -1; source.append(time); } else source.append(t(known(b) ? "just-now" : `block.${b.state}`));
  if (b.state === "stale") source.append(el("span", "may", t("may-have")));
  return source;
}
const came = (pop, b) => {
  const key = `${pop.pop} ${b.system} ${b.kind}`, now = link.now();
  if (!known(b)) { if (b.state === "pending") arrived.set(key, 0); return ""; }
  if (arrived.get(key) === 0) arrived.set(key, now);
  // Later than a second: it holds its tint for one, so that the eye finds what is new.
  return now - (arrived.get(key) ?? 0) < 1000 && now - Date.parse(pop.at) > 1000 ? " late" : "";
};

/** Which fields of a kind are figures. What a system lacks gives its place to the next. */
const telling = { __proto__: null, finance: ["balance", "credit"], loyalty: ["points", "tier"] };
const counted = { __proto__: null, orders: "f.open_orders", "tickets.open": "f.open_tickets" };
function figures(pop) {
  const all = [];
  for (const b of pop.card.blocks) {
    const key = `${b.system} ${b.kind}`;
    if (known(b) && b.body && !Array.isArray(b.body)) shapes.set(key, Object.keys(b.body));
    if (counted[b.kind]) all.push({ b, title: t(counted[b.kind]) });
    else if (telling[b.kind]) for (const name of telling[b.kind]) if (shapes.get(key)?.includes(name) ?? true) all.push({ b, name, title: label(name) });
  }
  if (!all.length) return undefined;
  // A tier that the strip shows is no figure while there are others.
  const shown = [...all.filter((f) => f.name !== "tier"), ...all.filter((f) => f.name === "tier")].slice(0, 4);
  return el("ul", "figures", ...shown.map(({ b, name, title }) => {
    let what, note = "";
    if (b.state === "pending" || b.state === "ambiguous") what = el("u");
    else if (b.state === "absent") what = el("b", "none", t("block.absent"));
    else if (b.state === "unavailable") { what = el("b", "none", "—"); what.ariaLabel = t("block.unavailable"); what.setAttribute("role", "img"); }
    else if (name) what = el("b", "", value(name, b.body?.[name], b.body));
    else {
      const list = Array.isArray(b.body) ? b.body : [], late = list.filter((item) => tone(item?.status ?? item?.state) === "red").length;
      what = el("b", "", String(list.filter((item) => !["green", "grey"].includes(tone(item?.status ?? item?.state))).length));
      if (late) note = el("span", "mark red", icon("warn"), t("late", { n: late }));
    }
    return el("li", `figure ${b.state}${came(pop, b)}`, el("span", "label", title), el("span", "worth", what, note), sourceOf(b));
  }));
}

const pictures = { __proto__: null, finance: "coin", orders: "box", loyalty: "star" };
const iconOf = (kind) => pictures[kind] ?? (kind.startsWith("ticket") ? "ticket" : kind.startsWith("customer") ? "two" : "more");
const ROWS = 3;
function block(pop, b) {
  const title = b.title ?? b.kind, key = `${b.system} ${b.kind}`;
  let inside, more = 0;
  if (b.state === "pending" || b.state === "ambiguous") inside = [1, 2, 3].map((n) => el("div", `row bar b${n}`, el("u"), el("u")));
  else if (b.state === "absent") inside = [el("p", "word", t("block.absent")), told(b) ? el("p", "hint", told(b, desk.named(b.system))) : ""];
  else if (b.state === "unavailable") inside = [el("p", "word red", "— ", told(b, desk.named(b.system)) || t("block.unavailable")), b.trouble?.kind === "taken-out" ? "" : el("p", "hint", t("unavailable.text"))];
  else if (Array.isArray(b.body)) {
    const all = opened.has(key), list = b.body.slice(0, all ? 50 : b.body.length > ROWS + 1 ? ROWS : ROWS + 1);
    more = b.body.length - list.length;
    inside = rows(list, b, pop);
    if (more || all) inside.push(button(all ? t("fewer") : t("more", { n: more }), () => { all ? opened.delete(key) : opened.add(key); draw(); }, `more ${key}`, "wider"));
  } else inside = fields(b.body ?? {});
  const box = el("section", `block ${b.state}${came(pop, b)}`, el("h2", "", icon(iconOf(b.kind)), el("span", "name", title), sourceOf(b)), el("div", "inside", ...inside));
  box.setAttribute("aria-label", title);
  if (opened.has(key)) box.classList.add("tall-list");
  // What the figures say already comes last.
  if (b.kind === "finance") box.classList.add("told");
  // Facts beyond the reserved rows scroll inside the block, also by keyboard; the page around it does not move.
  if (known(b) && !Array.isArray(b.body)) { const at = /** @type {HTMLElement} */ (box.lastChild); at.tabIndex = 0; at.dataset.key = `${key} facts`; at.setAttribute("role", "group"); at.setAttribute("aria-label", title); }
  return box;
}
const linked = (url, text) => (address(url) ? away(url, text) : text);
function rows(list, b, pop) {
  if (!list.length) return [el("p", "word", t("block.absent"))];
  return list.map((item) => {
    if (typeof item !== "object" || item === null) return el("div", "row", String(item));
    const plain = Object.entries(item).filter(([k, v]) => v !== null && v !== "" && typeof v !== "object" && !["currency", "url", "type"].includes(k));
    const main = ["subject", "title", "name", "item", "product", "what"].find((k) => item[k]) ?? plain.find(([k]) => k !== "id")?.[0] ?? "id";
    const tag = ["status", "state"].find((k) => item[k]);
    // A short id goes before the words, a long one behind them.
    const short = main !== "id" && /^\d{1,8}$/.test(String(item.id ?? ""));
    const rest = plain.filter(([k]) => k !== main && k !== tag && (k !== "id" || !short)).map(([k, v]) => el("span", k === "id" || k === "no" ? "extra" : "", value(k, v, item)));
    const act = b.kind === "tickets.open" ? ticketAct(pop.call, b.system, item) : "";
    const words = `${item.id && short ? `#${item.id} ` : ""}${item[main] ?? "—"}`;
    const name = el("b", "", linked(item.url, words));
    name.title = words;
    return el("div", "row", tag ? stamp(String(item[tag])) : "", name, el("span", "source", ...rest), act);
  });
}
const toneIcons = { red: "warn", amber: "clock", blue: "pass", green: "ok", grey: "dash" };
const stamp = (word) => { const colour = tone(word); const e = el("span", `tag ${colour}`, colour ? icon(toneIcons[colour]) : "", el("span", "", word)); e.title = word; return e; };
/** What may be done to one ticket: a small button, for the words of the ticket need the room. */
export function ticketAct(call, system, item) {
  const verbs = call && item.id ? tickets.verbs(system) : [];
  if (!verbs.length) return "";
  const act = button("", () => ticketing(call, system, item, verbs), `ticket ${system} ${item.id}`, "more");
  act.append(icon("more"));
  act.title = t("ticket.act");
  act.setAttribute("aria-label", `${t("ticket.act")} ${item.id}`);
  return act;
}
// The name first; what only ranks, or says where something is, is no fact for the agent.
const inner = ["currency", "id", "type", "url", "reason", "owner"];
const fields = (facts) => Object.entries(facts).filter(([k]) => !inner.includes(k)).sort(([a], [b]) => Number(b === "name") - Number(a === "name")).map(([k, v]) => {
  const worth = el("b", "", value(k, v, facts));
  worth.title = worth.textContent; // a long one is cut at the end of its line
  return el("div", "pair", el("i", "", label(k)), worth);
});

/** Who it is, as far as that is a question: the candidates with their reasons, what was chosen and by whom, and what can be done about nobody. */
function whoIs({ card, chosen, call, actions }) {
  const { answer, candidates: list, remembered: kept } = card, can = (what) => actions.includes(what);
  const notes = [
    card.shared && t(`shared.${card.shared}`), card.found_by === "account" && t("found.account"), card.account_unknown && t("found.account-unknown"),
    answer.state === "not-asked" && t("not-asked.text"), remembered(call),
  ].filter(Boolean);
  const open = answer.state === "ambiguous" || chosen !== undefined || kept || list.length > 1, nobody = answer.state === "absent" && !list.length;
  if (!open && !nobody) return notes.length ? el("p", "quiet", notes.join(" · ")) : undefined;
  const title = el("h2", "", icon("two"), el("span", "name", nobody ? t("nobody") : t("who")));
  const said = chosen === null ? t(nobody ? "log-only.chosen" : "not-them") : chosen !== undefined ? t("chosen") : kept ? reason({ kind: "chosen", ...kept }, desk.me.id) : nobody ? [...new Set(card.blocks.map((b) => desk.named(b.system)))].join(" · ") : t("by-match");
  title.append(el("span", "source", said), can("candidate.forget") && (chosen !== undefined || kept) ? button(t("undo"), () => void ask("candidate.forget", { call }), "who undo") : "");
  const inside = [list.length ? candidates(call, card, chosen) : ""];
  if (nobody || chosen === null) {
    const acts = [button(t("search"), palette, "who find")];
    if (can("customer.create") && !remembered(call)) acts.push(button(t("new-customer"), () => maker(call, card.create), "who new"));
    // Nobody is to be linked: said once, and then nothing is asked any more.
    if (nobody && chosen === null) acts.splice(0, acts.length, el("p", "quiet", t("log-only.text")));
    else if (nobody && can("candidate.choose") && !remembered(call)) acts.push(button(t("log-only"), () => { choosing = call; void ask("candidate.choose", { call, candidate: null }); }, "who log"));
    inside.push(el("div", "row acts-row", ...acts));
  }
  return el("section", "block who-is", title, ...inside.filter(Boolean), notes.length ? el("p", "hint", notes.join(" · ")) : "");
}
function candidates(call, card, chosen) {
  const list = card.candidates, one = card.answer.state === "found" ? list[0]?.id : chosen;
  const box = el("ul", "list");
  box.setAttribute("role", "listbox");
  box.setAttribute("aria-label", t("who"));
  const options = [...list.map((c, i) => ({ c, key: i < 9 ? String(i + 1) : "" })), { c: null, key: "0" }];
  const marked = options.findIndex(({ c }) => one === (c?.id ?? null));
  box.append(...options.map(({ c, key }, i) => {
    const why = [c?.reason, ...(c?.reasons ?? []).map((r) => reason(r, desk.me.id))].filter(Boolean).join("; ");
    const also = c?.also ?? [], systems = c ? [c.link.system, ...also.map((a) => a.link.system)].map((s) => desk.named(s)).join(" + ") : "";
    const hint = also.some((a) => a.by !== "key") ? t("joined.guess") : "";
    const o = el("li", "row", key ? el("kbd", "", key) : "", el("b", "", c ? c.name ?? c.id : t("none-of-these")), el("span", "hint", why), el("span", "source", systems, hint ? ` (${hint})` : ""));
    o.setAttribute("role", "option");
    o.setAttribute("aria-selected", String(i === marked));
    o.tabIndex = i === Math.max(marked, 0) ? 0 : -1;
    o.dataset.key = `who ${c?.id ?? 0}`;
    o.onclick = () => { if (i !== marked) { choosing = call; void ask("candidate.choose", { call, candidate: c?.id ?? null }); } };
    return o;
  }));
  box.onkeydown = (e) => {
    if (composing(e)) return;
    const all = /** @type {HTMLElement[]} */ ([...box.children]), at = all.indexOf(/** @type {any} */ (document.activeElement));
    if (e.key === "ArrowDown") all[Math.min(at + 1, all.length - 1)].focus();
    else if (e.key === "ArrowUp") all[Math.max(at - 1, 0)].focus();
    else if (e.key === "Enter" || e.key === " ") all[at]?.click();
    else if (/^\d$/.test(e.key) && !e.ctrlKey && !e.altKey && !e.metaKey) options.forEach(({ key }, i) => { if (key === e.key) all[i].click(); });
    else return;
    e.preventDefault();
  };
  return box;
}
/** What may be done to the customer's data from here. */
export function theirs(pop) {
  const customer = customerOf(pop), names = customer ? tickets.fields(customer.link.system) : [];
  return names.length ? button(t("customer.edit"), () => edit(pop.call, customer, names), "customer edit") : undefined;
}
