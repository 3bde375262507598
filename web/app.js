// The agent's page: joins the socket, the desk and the document. Data goes into the document as text nodes only.
import { Callbacks } from "./callbacks.js";
import { Desk, nameOf, phase } from "./desk.js";
import { held, holder } from "./embed.js";
import { erase, keep, kept } from "./keep.js";
import { Flows, form, picture, titled } from "./flows.js";
import { Connection } from "./sdk/linecard.js";
import { choices, stateWords, told } from "./state.js";
import { age, because, clock, day, groups, label, language, otherLanguage, reason, t, timeOfDay, value } from "./say.js";
import { Team, doing } from "./team.js";
import { Tickets, address, customerForm, showRecord, ticketForm, told as wishTold } from "./tickets.js";

/** @type {(id: string) => any} Whatever element it is. */
const $ = (id) => document.getElementById(id);
/** @type {(what: string) => NodeListOf<HTMLElement>} */
const every = (what) => document.querySelectorAll(what);
const desk = new Desk();
let outside; // who holds this page, where somebody does
let frozen; // since when the screen cannot be believed, server's time
const drafts = new Map(); // call -> words not yet saved
const sent = new Set(); // wrap-ups on their way
const summed = new Set(); // pops whose facts were announced
const warned = new Set(); // wrap-ups whose last 20 seconds were announced
const made = new Map(); // call -> what was done about an unknown number
const forms = new Map(); // call -> { outcome, ticket }
let drawn = ""; // whose words stand in the note field
let tab = "facts";
let timer;

const link = new Connection({ url: location.href, on: {
  frame: (frame) => { const was = desk.take(frame, link.now()); hear(was); outside?.tell({ frame }); crew.take(frame); flows.take(frame); became(tickets.take(frame)); if (frame.type === "welcome") { void reclaim(); crew.again(); } if (frame.type === "snapshot" || frame.type === "resumed") void flows.look(); draw(); },
  up: () => { outside?.tell({ up: true }); if (frozen) say("status", t("back")); frozen = undefined; $("door").hidden = true; $("desk").hidden = false; },
  down: () => { outside?.tell({ down: true }); if (!frozen && desk.me) { frozen = link.now(); say("alert", t("away.us", { t: timeOfDay(frozen) })); } draw(); },
  refused: (why) => { sessionStorage.removeItem("token"); outside?.tell({ refused: why }); door(t("door.refused")); },
} });
const backs = new Callbacks(link, () => draw());
const crew = new Team(link, () => draw());
const flows = new Flows(link, () => draw());
const tickets = new Tickets(() => draw());
const wanted = new Set(); // calls whose customer asked to be called back

// Small hands for the document.
function el(tag, classes = "", ...inside) {
  const e = document.createElement(tag);
  if (classes) e.className = classes;
  e.append(...inside.filter((x) => x !== undefined && x !== null && x !== ""));
  return e;
}
function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}
function button(text, act, key, classes) {
  const b = el("button", classes, text);
  b.type = "button";
  if (key) b.dataset.key = key;
  b.onclick = act;
  return b;
}
/** Replaces what is inside only if the picture differs, and leaves the focus on what it was on. */
function fill(box, picture, make) {
  const key = JSON.stringify([language(), picture]);
  if (box.picture === key) return;
  box.picture = key;
  const at = document.activeElement;
  const on = at instanceof HTMLElement && box.contains(at) ? at.dataset.key : undefined;
  box.replaceChildren(...make());
  if (on !== undefined) ([...box.querySelectorAll("[data-key]")].find((e) => e.dataset.key === on) ?? box).focus();
}
const put = (e, text) => { if (e.textContent !== text) e.textContent = text; };
const say = (where, text) => put($(where), text);
const number = (n) => (n?.class === "anonymous" ? [t("withheld")] : groups(n).map((g) => el("span", "", g)));

// What an agent hears.
function hear({ fresh, updated, before, withdrawn, link: changed, phone, state }) {
  if (fresh) {
    $("audio").pause(); // the phone rings
    const who = nameOf(fresh) ?? fresh.number?.display ?? t("withheld");
    say("alert", t("say.pop", { who, line: fresh.title ?? fresh.queue?.label ?? "" }));
  }
  const pop = fresh ?? updated;
  if (updated && nameOf(updated) && !nameOf(before)) say("status", t("say.name", { who: nameOf(updated) }));
  if (pop && !summed.has(pop.pop) && pop.card.blocks.length && pop.card.blocks.every((b) => b.state !== "pending")) {
    summed.add(pop.pop);
    const s = pop.card.blocks.filter((b) => b.state === "unavailable").map((b) => b.title ?? b.system).join(", ");
    say("status", t(s ? "say.settled-but" : "say.settled", { s }));
  }
  if (state) say("status", desk.agent.overrun ? `${stateWords(desk)}, ${t("state.overrun")}` : stateWords(desk));
  if (phone) say("status", t(phone.why, { s: phone.phone }));
  if (withdrawn) say("status", t("say.gone", { why: t(`gone.${withdrawn}`) }));
  if (changed?.kind === "switch") changed.up ? say("status", t("back")) : say("alert", t("away.switch", { t: timeOfDay(Date.parse(changed.since)) }));
}

/** What was asked for is done, or is not. */
function became(wish) {
  if (wish && wish.call === desk.call?.pop.call) say(wish.state === "done" || wish.state === "later" ? "status" : "alert", wishTold(wish));
}

/** The record's page opens by itself when the call is answered, where the settings say so: once for each call, a reload included. */
function openRecord() {
  const { call } = desk;
  if (desk.open !== "answered" || frozen || !desk.agent.active || !call || phase(call) !== "talking") return;
  const id = call.pop.call, opened = (sessionStorage.getItem("opened") ?? "").split(" ");
  const url = recordOf(call.pop);
  if (!url || opened.includes(id)) return;
  sessionStorage.setItem("opened", [id, ...opened].slice(0, 50).join(" "));
  if (!showRecord(url)) say("alert", t("open-blocked"));
}

// Notes: kept at every key, sent when the hand rests.
async function reclaim() {
  for (const [call, text] of await kept(desk.me.id)) if (!drafts.has(call)) { drafts.set(call, text); void save(call); }
  draw();
}
function typed() {
  const call = $("notes").dataset.call;
  if (!call) return;
  drafts.set(call, $("notes").value);
  void keep(desk.me.id, call, $("notes").value);
  clearTimeout(timer);
  timer = setTimeout(() => void save(call), 600);
  drawDo();
}
async function save(call) {
  const text = drafts.get(call);
  if (text === undefined || sent.has(call)) return;
  try {
    await link.ask("notes.set", { call, text });
    saved(call, text);
  } catch (failed) {
    const known = desk.calls.get(call);
    if (known) known.trouble = failed;
    say("status", t("kept"));
  }
  draw();
}
function saved(call, text) {
  const known = desk.calls.get(call);
  if (known) { known.notes = text; known.trouble = undefined; known.saved = true; }
  if (drafts.get(call) === text) drafts.delete(call);
  void erase(desk.me.id, call, text);
}
async function done() {
  const call = desk.call;
  if (!call || phase(call) !== "wrapup" || sent.has(call.pop.call)) return;
  const id = call.pop.call, notes = $("notes").value;
  const disposition = $("outcome").value.split(/[›>/]/).map((s) => s.trim()).filter(Boolean).slice(0, 16);
  clearTimeout(timer);
  sent.add(id);
  drafts.set(id, notes);
  await keep(desk.me.id, id, notes);
  draw();
  try {
    await link.ask("wrapup.submit", { call: id, disposition, notes, ticket: $("ticket").checked });
    saved(id, notes);
    remember(disposition.join(" › "));
    forms.delete(id);
    desk.finish(id, link.now());
    if (!desk.call) $("find").focus();
  } catch (failed) {
    call.problem = failed;
    say("alert", because(failed));
  }
  sent.delete(id);
  draw();
}
// The outcomes that this agent used last are offered first; outcomes are words of the company, not of the caller.
const outcomes = () => { try { return JSON.parse(localStorage.getItem("outcomes")) ?? []; } catch { return []; } };
function remember(path) { if (path) localStorage.setItem("outcomes", JSON.stringify([path, ...outcomes().filter((o) => o !== path)].slice(0, 20))); }

async function ask(what, body) {
  try { await link.ask(what, body); return true; } catch (failed) { say("alert", because(failed)); return false; }
}
const choose = (call, candidate) => ask("candidate.choose", { call, candidate });
async function attach(call, candidate) {
  if (await ask("customer.attach", { call, candidate })) { made.set(call, t("attached")); say("status", t("attached")); draw(); }
}

/** What the caller gave, each with the label of the switch's file. */
const named = (field, name) => field?.label ?? label(name.split(".").at(-1));
const attributes = (pop) => Object.entries(pop?.attributes ?? {}).map(([name, v]) => [named(pop.fields?.find((f) => f.name === name), name), v]);
async function write(call, name, input) {
  const ok = await ask("attribute.set", { call, name, value: input.value.trim() });
  input.setAttribute("aria-invalid", String(!ok));
}

// The document.
function draw() {
  if (!desk.me) return;
  const call = desk.call, now = link.now();
  if (desk.gone && (call || now > desk.gone.until)) desk.gone = undefined;
  const away = frozen ? { us: true, at: frozen } : desk.switchAway && { at: Date.parse(desk.switchAway.since) };
  if ($("to").open && !desk.calls.has($("to").dataset.call)) $("to").close();
  for (const id of ["maker", "ticketing", "editor"]) if ($(id).open && !desk.calls.has($(id).dataset.call)) $(id).close();
  const is = !desk.agent.active ? "elsewhere" : call ? phase(call) : desk.gone ? "gone" : "idle";
  $("desk").dataset.is = is;
  $("desk").dataset.away = away ? "yes" : "no";
  document.title = is === "ringing" ? `${t("ringing")} – ${call.pop.title ?? ""}` : "Linecard";
  put($("me"), desk.me.name ?? desk.me.id);
  drawState();
  drawSeat();
  $("crew").hidden = !desk.me.roles.includes("supervisor");
  if ($("team").open) drawTeam();
  drawLinks(away);
  drawStrip(is, call);
  fill($("lane"), [desk.others().map((c) => [c.pop.call, phase(c), nameOf(c.pop), c.pop.number]), is, call?.pop.role, call?.state.agents, call?.pop.attributes], () => lane(call));
  fill($("verbs"), [call?.pop.call, call?.verbs, is], () => verbs(call, is));
  drawFacts(is, call);
  drawDo();
  tick();
  openRecord();
}
// The state is a button, and its menu: states, reasons below "not ready", queues.
function drawState() {
  $("state").className = desk.agent.overrun ? "red" : { ready: "green", "working-after-call": "violet", busy: "blue" }[desk.agent.state] ?? "amber";
  put($("state"), told(desk, link.now()));
  const all = choices(desk);
  fill($("states"), all, () => {
    const rows = [];
    for (const c of all) {
      const b = button(c.text, () => void choice(c.ask), c.key);
      b.setAttribute("role", c.kind === "item" ? "menuitem" : `menuitem${c.kind}`);
      if (c.kind !== "item") b.setAttribute("aria-checked", String(c.on));
      b.tabIndex = -1;
      let box = rows.at(-1);
      if (c.group && box?.ariaLabel !== c.group) {
        box = el("div", "", el("span", "hint", c.group));
        box.setAttribute("role", "group");
        box.ariaLabel = c.group;
        rows.push(box);
      }
      if (c.group) box.append(b); else rows.push(b);
    }
    return rows;
  });
  put($("states-head"), t(desk.agent.state === "busy" ? "state.after" : "state.now"));
}
async function choice([type, body]) {
  put($("states-says"), t("sending"));
  try { await link.ask(type, body); put($("states-says"), ""); shutStates(true); } catch (failed) { put($("states-says"), because(failed)); say("alert", because(failed)); }
}
const stateItems = () => [...$("states").querySelectorAll("button")];
function openStates() {
  if ($("states-box").open) { shutStates(true); return; }
  put($("states-says"), "");
  open("states-box");
  $("state").setAttribute("aria-expanded", "true");
  (stateItems().find((b) => b.getAttribute("aria-checked") === "true") ?? stateItems()[0])?.focus();
}
function shutStates(back) {
  if (!$("states-box").open) return;
  $("states-box").close();
  $("state").setAttribute("aria-expanded", "false");
  if (back) $("state").focus();
}
// Who sits fixed has no seat to take, and sees no control for it.
function drawSeat() {
  const { seat } = desk.agent;
  $("seat").hidden = seat === undefined;
  $("seat").className = seat ? "" : "red";
  put($("seat"), seat ? t("seat.at", { s: seat.device }) : t("seat.none"));
  $("rise").hidden = !seat;
}
function drawLinks(away) {
  const down = [...desk.links.values()].filter((l) => !l.up && l.kind === "system");
  const phones = desk.phones;
  const picture = [away, down.map((l) => l.id), phones];
  fill($("links"), picture, () => {
    if (away) return [el("span", "red", icon("cut"), el("span", "long", t(away.us ? "away.us" : "away.switch", { t: timeOfDay(away.at) })), el("span", "short", t("away.short", { t: timeOfDay(away.at) })))];
    if (!down.length && !phones.length) return [el("span", "green", icon("ok"), t("all-well"))];
    return [...phones.map(({ why, phone }) => el("span", why === "unseen" ? "grey" : "red", el("b", "", why === "unseen" ? "?" : "✕"), t(why, { s: phone }))), ...down.map((l) => el("span", "red", icon("cut"), t("away.system", { s: l.id })))];
  });
}
const icons = { ringing: "ring", dialling: "talk", talking: "talk", holding: "hold", wrapup: "pen" };
function drawStrip(is, call) {
  const pop = call?.pop ?? (is === "gone" ? desk.gone.call.pop : undefined);
  const answer = pop?.card.answer.state;
  let head = t("waiting");
  if (is === "elsewhere") head = t("elsewhere");
  else if (is === "gone") head = t(`gone.${desk.gone.reason}`);
  else if (pop) head = nameOf(pop) ?? (pop.chosen === null ? t("unnamed") : answer === "pending" ? t("asking") : answer === "absent" ? t("absent")
    : answer === "not-asked" ? t(`not-asked.${pop.card.answer.why}`) : answer === "ambiguous" ? t("ambiguous", { n: pop.card.candidates.length }) : answer === "unavailable" ? t("no-answer-yet") : t("unnamed"));
  put($("name"), head);
  put($("tag"), pop ? t(`role.${pop.role}`, {}, "") : "");
  fill($("number"), pop?.number, () => number(pop?.number));
  put($("line"), pop ? [pop.brand, pop.title ?? pop.line?.display, pop.queue?.label].filter(Boolean).join(" · ") : "");
  const page = $("page"), target = recordOf(pop);
  page.hidden = !target;
  if (target) page.href = target; else page.removeAttribute("href");
  put(page, target ? t("page") : "");
  const given = attributes(pop);
  const waited = pop?.waited_since && call && Date.parse(call.state.answered_at ?? call.state.since ?? pop.at) - Date.parse(pop.waited_since);
  fill($("more"), [waited, given], () => [
    waited > 999 ? el("span", "", el("i", "", t("waited")), clock(waited)) : "", ...given.map(([k, v]) => el("span", "", el("i", "", k), v)),
  ].filter(Boolean));
  fill($("word"), is, () => (icons[is] ? [icon(icons[is]), t(is)] : []));
  $("here").hidden = is !== "elsewhere";
  $("done").hidden = is !== "wrapup";
  const due = call?.state.wrapup;
  $("extend").hidden = is !== "wrapup" || !due?.may_extend;
  $("keep-on").hidden = is !== "wrapup" || !due?.ready_at;
  $("done").disabled = !!call && sent.has(call.pop.call);
}
function lane(call) {
  const others = desk.others().map((c) => {
    const b = button("", () => { desk.show(c.pop.call); draw(); }, c.pop.call, phase(c) === "ringing" ? "ring" : "");
    b.append(icon(icons[phase(c)] ?? "dash"), t(phase(c)), " ", nameOf(c.pop) ?? "", " ", ...number(c.pop.number));
    return b;
  });
  if (others.length) return others;
  const names = (call?.state.agents ?? []).filter((a) => a.agent !== desk.me.id);
  // What the caller gave, where the strip has no room for it.
  const given = attributes(call?.pop).map(([k, v]) => el("span", "given", el("i", "", k), v));
  return [...names.map((a) => el("span", "", `${a.name ?? a.agent} · ${t(a.state)}`)), ...given];
}
// What can be done to the call on the strip, here and now: what the daemon offers, and nothing else. One stop for Tab, arrows inside.
function verbs(call, is) {
  const all = (call?.verbs ?? []).map((verb) => {
    const word = verb === "call.hangup" && is === "ringing" ? "decline" : verb;
    return button(t(word), () => act(verb), verb, verb === "call.hangup" ? "red" : "");
  });
  all.forEach((b, at) => { b.tabIndex = at ? -1 : 0; });
  return all;
}
const asks = { "call.transfer": "to", "call.consult": "to", "call.digits": "digits" };
function act(verb) {
  const call = desk.call?.pop.call;
  if (!call || !desk.call.verbs.includes(verb)) return;
  if (verb === "recording.link") { void listen(call); return; }
  if (!asks[verb]) { void ask(verb, { call }); return; }
  $("to").dataset.verb = verb;
  $("to").dataset.call = call;
  put($("to-what"), t(asks[verb] === "to" ? "to" : "keys"));
  put($("to-go"), t(verb));
  put($("to-says"), "");
  open("to");
  $("target").focus();
  $("target").select();
}
async function send() {
  const { verb, call } = $("to").dataset, text = $("target").value.trim();
  if (!text) return;
  put($("to-says"), t("sending"));
  try { await link.ask(verb, { call, [asks[verb]]: text }); $("to").close(); $("send").reset(); } catch (failed) { put($("to-says"), because(failed)); }
}
// What was recorded of the call that is over. The link is asked for when somebody wants to hear it, and again when its time ran out.
const heard = {};
async function listen(call, recording = 0, from = 0) {
  try {
    const { link: found } = await link.ask("recording.link", { call, recording });
    if (desk.call?.pop.call !== call) return;
    Object.assign(heard, { call, recording, from, of: found.of, until: Date.parse(found.expires_at) });
    put($("heard-says"), "");
    $("heard").hidden = false;
    fill($("heard-which"), [call, recording, found.of], () => (found.of < 2 ? [] : [...Array(found.of).keys()].map((n) => {
      const b = button(String(n + 1), () => void listen(call, n), `heard ${n}`);
      b.setAttribute("aria-pressed", String(n === recording));
      return b;
    })));
    $("audio").src = found.url;
    show("do");
    $("audio").focus();
    $("heard").scrollIntoView({ block: "nearest" });
    // It was asked for by a click; where a browser wants another one, the player's own button is there.
    $("audio").play().catch(() => {});
  } catch (failed) { say("alert", because(failed)); put($("do-says"), because(failed)); }
}
function hush() {
  heard.call = undefined;
  $("audio").pause();
  $("audio").removeAttribute("src");
  $("audio").load();
  $("heard").hidden = true;
}
$("audio").onloadedmetadata = () => { if (heard.from) $("audio").currentTime = heard.from; heard.from = 0; };
$("audio").onerror = () => {
  if (!heard.call || !$("audio").hasAttribute("src")) return;
  if (link.now() >= heard.until) void listen(heard.call, heard.recording, $("audio").currentTime);
  else put($("heard-says"), t("recording.trouble"));
};
function drawFacts(is, call) {
  const keptHere = call ? [] : [...drafts];
  fill($("facts"), [is === "idle" || is === "gone" || is === "elsewhere", call?.pop.pop, call?.pop.card, call?.pop.chosen, call?.pop.actions, made.get(call?.pop.call), keptHere, tickets.systems, call ? [flows.offers, flows.of(call.pop.call), tickets.of(call.pop.call)] : [backs.open, backs.list, minute(), flows.waiting()]], () => {
    if (!call) {
      const list = keptHere.map(([id, text]) => el("div", "kept", el("p", "", text), button(t("erase"), () => { drafts.delete(id); void keep(desk.me.id, id, text).then(() => erase(desk.me.id, id, text)); draw(); }, id)));
      return [list.length ? el("section", "block tall", el("h2", "", t("kept.title")), ...list) : el("p", "quiet", t("idle.facts")), ...flows.waiting().map(flow), backs.open ? callBack() : ""].filter(Boolean);
    }
    const { card } = call.pop;
    const shown = [whoIs(call.pop)];
    if (card.answer.state === "unavailable") shown.push(el("p", "quiet red", icon("cut"), card.answer.reason ?? t("no-answer-yet")));
    return shown.concat(flows.of(call.pop.call).map(flow), card.blocks.map(block), wishes(call.pop.call), theirs(call.pop), begins(call.pop.call)).filter(Boolean);
  });
  tickAges();
}
/** What was asked to be written of this call, and what became of it. */
function wishes(call) {
  const list = tickets.of(call);
  if (!list.length) return undefined;
  return el("section", "block wishes", el("h2", "", t("wishes")), el("ul", "list", ...list.map((w) => el("li", `row wish ${w.state}`, wishTold(w)))));
}
/** The customer whose record it is, as found or chosen. */
const customerOf = (pop) => pop.card.candidates.find((c) => c.id === pop.chosen) ?? (pop.chosen === undefined && pop.card.answer.state === "found" ? pop.card.candidates[0] : undefined);
/** The page of the call's record: the line's, else the customer's own. The daemon checked the address; here it is looked at once more. */
const recordOf = (pop) => (pop ? address(pop.target) || address(customerOf(pop)?.url) : "");
/** What is known of the customer may be changed from here. Below everything else, so that nothing moves when it comes. */
function theirs(pop) {
  const customer = customerOf(pop), fields = customer ? tickets.fields(customer.link.system) : [];
  if (!fields.length) return undefined;
  return el("div", "row acts-row theirs", button(t("customer.edit"), () => edit(pop.call, customer, fields), "customer edit"));
}
function away(url, text) {
  const a = el("a", "", text);
  a.href = url;
  a.target = "_blank";
  a.rel = "noopener noreferrer";
  return a;
}
function edit(call, customer, fields) {
  const system = customer.link.system;
  const shut = () => { $("editor").close(); $("find").focus(); };
  const send = async (body) => {
    try { await link.ask("customer.update", { call, system, ...body }); tickets.sent(call, "customer.update", system); say("status", t("wish.accepted")); shut(); } catch (failed) { return because(failed); }
  };
  $("editor").replaceChildren(customerForm(customer.facts ?? {}, fields, { el }, send, shut));
  $("editor").dataset.call = call;
  open("editor");
  $("editor").querySelector("input")?.focus();
}
/** What may be done to one ticket: a small button, for the words of the ticket need the room. */
function ticketAct(call, system, item) {
  const verbs = call && item.id ? tickets.verbs(system) : [];
  if (!verbs.length) return "";
  const act = button("", () => ticketing(call, system, item, verbs), `ticket ${system} ${item.id}`, "more");
  act.append(icon("more"));
  act.title = t("ticket.act");
  act.setAttribute("aria-label", `${t("ticket.act")} ${item.id}`);
  return act;
}
const linked = (url, text) => (address(url) ? away(url, text) : text);
function ticketing(call, system, item, verbs) {
  const shut = () => { $("ticketing").close(); $("find").focus(); };
  const send = async (what, operation, body) => {
    try { await link.ask(what, { call, ticket: { system, id: String(item.id) }, ...body }); tickets.sent(call, operation, system, String(item.id)); say("status", t("wish.accepted")); shut(); } catch (failed) { return because(failed); }
  };
  $("ticketing").replaceChildren(ticketForm(item, verbs, { el }, send, shut));
  $("ticketing").dataset.call = call;
  open("ticketing");
  $("ticketing").querySelector("select")?.focus();
}
async function searchTickets() {
  const query = $("query").value.trim(), call = desk.call?.pop.call;
  if (!query) return;
  put($("panel-says"), t("sending"));
  try {
    /** @type {{ tickets?: any[] }} */
    const { tickets: found = [] } = await link.ask("ticket.search", call ? { call, query } : { query });
    put($("panel-says"), found.length ? "" : t("found-no-ticket"));
    $("results").replaceChildren(...found.map((item) => el("li", "row", el("b", "", linked(item.url, `#${item.id} ${item.subject ?? item.title ?? ""}`)), el("span", "hint", item.state ?? item.status), el("span", "source", item.system), ticketAct(call, item.system, item))));
  } catch (failed) { put($("panel-says"), because(failed)); }
}
/** How a flow goes, and what may be said of it. */
const flow = (f) => picture(f, { el, button }, (what, body) => void ask(what, body));
/** The flows that may be begun with this call. */
function begins(call) {
  if (!flows.offers.length) return undefined;
  return el("section", "block flows", el("h2", "", t("flow.title")), el("div", "row acts-row", ...flows.offers.map((o) => button(titled(o.title, o.name), () => begin(o, call), `flow ${o.name}`))));
}
function begin(offer, call) {
  const send = async (inputs) => {
    try { await link.ask("flow.start", { name: offer.name, call, inputs }); say("status", t("flow.begun", { s: titled(offer.title, offer.name) })); $("flow").close(); } catch (failed) { return because(failed); }
  };
  $("flow").replaceChildren(form(offer, { el }, send, () => { $("flow").close(); $("find").focus(); }));
  open("flow");
  $("flow").querySelector("input, select, textarea")?.focus();
}
/** Who it is, as far as that is a question: the candidates with their reasons, what was chosen and by whom, and what can be done about nobody. */
function whoIs({ card, chosen, call, actions }) {
  const { answer, candidates: list, remembered } = card, can = (what) => actions.includes(what);
  const notes = [
    card.shared && t(`shared.${card.shared}`), card.found_by === "account" && t("found.account"), card.account_unknown && t("found.account-unknown"),
    answer.state === "not-asked" && t("not-asked.text"), made.get(call),
  ].filter(Boolean);
  const open = answer.state === "ambiguous" || chosen !== undefined || remembered || list.length > 1, nobody = answer.state === "absent" && !list.length;
  if (!open && !nobody) return notes.length ? el("p", "quiet", notes.join(" · ")) : undefined;
  const title = el("h2", "", nobody ? t("nobody") : t("who"));
  const said = chosen === null ? t("not-them") : chosen !== undefined ? t("chosen") : remembered ? reason({ kind: "chosen", ...remembered }, desk.me.id) : "";
  title.append(el("span", "source", said), can("candidate.forget") && said ? button(t("undo"), () => void ask("candidate.forget", { call }), "who undo") : "");
  const inside = [list.length ? candidates(call, card, chosen) : ""];
  if (nobody || chosen === null) {
    const acts = [button(t("search"), panel, "who find")];
    if (can("customer.create") && !made.has(call)) acts.push(button(t("new-customer"), () => maker(call, card.create), "who new"));
    inside.push(el("div", "row acts-row", ...acts));
  }
  return el("section", "block who-is", title, ...inside.filter(Boolean), notes.length ? el("p", "hint", notes.join(" · ")) : "");
}
/** Whom to call back. What a colleague has is shown, and is theirs. */
const minute = () => Math.floor(link.now() / 60_000);
function callBack() {
  const rows = backs.list.map((b) => {
    const mine = b.owner === desk.me.id, theirs = b.owner && !mine;
    const why = [t(`callback.${b.why}`), b.line ?? b.queue, b.count > 1 && t("callback.times", { n: b.count }), day(b.last)].filter(Boolean).join(" · ");
    const state = [b.attempts && t("callback.tried", { n: b.attempts }), Date.parse(b.due) > link.now() && t("callback.due", { on: day(b.due) }), theirs && t("callback.theirs", { who: b.owner_name ?? b.owner })].filter(Boolean).join(" · ");
    const act = (what) => async () => { await ask(what, { callback: b.callback }); void backs.look(link.now(), true); };
    const acts = theirs ? [] : [
      button(t("dial"), async () => { if (await ask("dial", { handle: b.handle })) say("status", t("dialled")); void backs.look(link.now(), true); }, `${b.callback} dial`, "strong"),
      button(t(mine ? "callback.release" : "callback.claim"), act(mine ? "callback.release" : "callback.claim"), `${b.callback} claim`),
      button(t("callback.close"), act("callback.close"), `${b.callback} close`),
    ];
    return el("li", "row back", el("b", "", b.name ?? b.display), el("span", "hint", b.name ? `${b.display} · ${why}` : why, b.note ? ` · ${b.note}` : ""), el("span", "source", state), ...acts);
  });
  return el("section", "block tall", el("h2", "", t("callback.title", { n: backs.open })), el("ul", "list", ...rows));
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
    const also = c?.also ?? [], systems = c ? [c.link.system, ...also.map((a) => a.link.system)].join(" + ") : "";
    const hint = also.some((a) => a.by !== "key") ? t("joined.guess") : "";
    const o = el("li", "row", key ? el("kbd", "", key) : "", el("b", "", c ? c.name ?? c.id : t("none-of-these")), el("span", "hint", why), el("span", "source", systems, hint ? ` (${hint})` : ""));
    o.setAttribute("role", "option");
    o.setAttribute("aria-selected", String(i === marked));
    o.tabIndex = i === Math.max(marked, 0) ? 0 : -1;
    o.dataset.key = `who ${c?.id ?? 0}`;
    o.onclick = () => { if (i !== marked) void choose(call, c?.id ?? null); };
    return o;
  }));
  box.onkeydown = (e) => {
    if (composing(e)) return;
    const all = [...box.children], at = all.indexOf(document.activeElement);
    if (e.key === "ArrowDown") all[Math.min(at + 1, all.length - 1)].focus();
    else if (e.key === "ArrowUp") all[Math.max(at - 1, 0)].focus();
    else if (e.key === "Enter" || e.key === " ") all[at]?.click();
    else if (/^\d$/.test(e.key)) options.forEach(({ key }, i) => { if (key === e.key) all[i].click(); });
    else return;
    e.preventDefault();
  };
  return box;
}
function block(b) {
  const title = b.title ?? b.kind;
  const shown = b.state === "fresh" || b.state === "stale";
  const mark = b.state === "stale" ? icon("clock") : b.state === "unavailable" ? icon("cut") : "";
  const source = el("span", `source ${b.state}`, mark, b.system, " · ", shown && b.asked_at ? el("time") : "", shown ? "" : t(`block.${b.state}`), b.state === "stale" ? ` · ${t("block.stale")}` : "");
  if (shown && b.asked_at) source.querySelector("time").dataset.at = b.asked_at;
  let inside;
  if (b.state === "pending" || b.state === "ambiguous") inside = [1, 2, 3].map((n) => el("div", `row bar b${n}`, el("u"), el("u")));
  else if (b.state === "absent") inside = [el("p", "word", t("block.absent")), b.reason ? el("p", "hint", b.reason) : ""];
  else if (b.state === "unavailable") inside = [el("p", "word red", "— ", b.reason ?? ""), el("p", "hint", t("unavailable.text"))];
  else inside = Array.isArray(b.body) ? rows(b.body, b) : fields(b.body ?? {});
  const box = el("section", `block ${b.state}`, el("h2", "", title, source), el("div", "inside", ...inside));
  // Rows beyond the reserved ones scroll inside the block, also by keyboard; the page around it does not move.
  if (shown) { box.lastChild.tabIndex = 0; box.lastChild.dataset.key = `${b.system} ${b.kind}`; box.lastChild.setAttribute("role", "group"); box.lastChild.setAttribute("aria-label", title); }
  return box;
}
function rows(list, b) {
  if (!list.length) return [el("p", "word", t("block.absent"))];
  return list.slice(0, 50).map((item) => {
    if (typeof item !== "object" || item === null) return el("div", "row", String(item));
    const plain = Object.entries(item).filter(([k, v]) => v !== null && typeof v !== "object" && !["currency", "url", "type"].includes(k));
    const main = ["subject", "title", "name", "item", "product", "what"].find((k) => item[k]) ?? plain.find(([k]) => k !== "id")?.[0] ?? "id";
    const tag = ["status", "state"].find((k) => item[k]);
    // A short id goes before the words, a long one behind them.
    const short = main !== "id" && String(item.id ?? "").length < 9;
    const rest = plain.filter(([k]) => k !== main && k !== tag && (k !== "id" || !short)).map(([k, v]) => value(k, v, item)).join(" · ");
    const act = b.kind === "tickets.open" ? ticketAct(desk.call?.pop.call, b.system, item) : "";
    const words = `${item.id && short ? `#${item.id} ` : ""}${item[main] ?? "—"}`;
    return el("div", "row", tag ? el("span", "tag", String(item[tag])) : "", el("b", "", linked(item.url, words)), el("span", "source", rest), act);
  });
}
// The name first; what only ranks, or says where something is, is no fact for the agent.
const inner = ["currency", "id", "type", "url", "reason", "owner"];
const fields = (facts) => Object.entries(facts).filter(([k]) => !inner.includes(k)).sort(([a], [b]) => Number(b === "name") - Number(a === "name")).map(([k, v], i) =>
  el("div", i ? "pair" : "pair first", el("i", "", label(k)), el("b", "", value(k, v, facts))));

function drawDo() {
  const call = desk.call, id = call?.pop.call ?? "";
  if (heard.call && heard.call !== id) hush();
  const notes = $("notes");
  if (drawn !== id) { // another call, other words; the same call never has its words changed under the hand
    drawn = id;
    notes.value = call ? drafts.get(id) ?? call.notes : "";
    notes.dataset.call = id;
    const form = forms.get(id) ?? { outcome: "", ticket: false };
    $("outcome").value = form.outcome;
    $("ticket").checked = form.ticket;
    $("outcomes").replaceChildren(...outcomes().map((o) => Object.assign(document.createElement("option"), { value: o })));
  } else if (call && drafts.has(id) && !notes.value && document.activeElement !== notes) notes.value = drafts.get(id);
  for (const field of [notes, $("outcome"), $("ticket")]) field.disabled = !call || sent.has(id);
  $("wants-back").disabled = !call || wanted.has(id) || call.pop.number?.class === "anonymous";
  put($("wants-back"), t(wanted.has(id) ? "callback.asked-done" : "callback.ask"));
  notes.placeholder = t("notes.hint");
  const unsaved = drafts.has(id);
  fill($("saved"), [unsaved, call?.saved, call?.trouble?.code, !!frozen], () => {
    if (!call) return [];
    if (unsaved) return [t(call.trouble?.code === "unknown-call" ? "too-late" : frozen || call.trouble ? "kept" : "saving")];
    return call.saved ? [icon("ok"), t("saved")] : [];
  });
  fill($("others"), call?.pop.notes, () => (call?.pop.notes?.length ? [el("p", "head", t("others")), ...call.pop.notes.map((n) => el("p", "said", el("i", "", `${n.agent} `), n.text))] : []));
  // Attributes that agents may write. The field is drawn once; what is under the hand is never changed.
  const fields = call?.pop.actions.includes("attribute.set") ? call.pop.fields?.filter((f) => f.writable) ?? [] : [];
  fill($("given"), [id, fields], () => fields.map((f) => {
    const input = el(f.choices ? "select" : "input");
    if (f.choices) input.append(...["", ...f.choices].map((c) => Object.assign(document.createElement("option"), { value: c, textContent: c || "—" })));
    else Object.assign(input, { maxLength: f.cap, autocomplete: "off", inputMode: f.type === "digits" ? "numeric" : f.type === "number" ? "decimal" : "text", type: f.type === "date" ? "date" : "text" });
    input.dataset.key = `given ${f.name}`;
    input.dataset.name = f.name;
    input.onchange = () => void write(id, f.name, input);
    return el("label", "pairs", el("span", "hint", named(f, f.name)), input);
  }));
  for (const input of $("given").querySelectorAll("[data-name]")) {
    const value = call?.pop.attributes?.[input.dataset.name] ?? "";
    if (document.activeElement !== input && input.value !== value) input.value = value;
  }
  put($("do-says"), call?.problem ? because(call.problem) : sent.has(id) ? t("sending") : "");
}

// The team, for supervisors: who talks with whom and since when, and what can be done about it at that switch.
const marks = { ringing: "ring", dialling: "talk", talking: "talk", holding: "hold", wrapup: "pen", busy: "talk", ready: "ok", "not-ready": "dash" };
function drawTeam() {
  const { list, agents } = crew;
  put($("team-title"), t("team.title", { n: agents }));
  put($("team-more"), agents > list.length ? t("team.first", { n: list.length }) : !agents ? t("team.nobody") : "");
  fill($("team-list"), list, () => list.map(member));
  const of = $("menu").dataset.agent;
  if (of && !crew.of(of)?.actions.length) $("menu").hidePopover();
  tickTeam();
}
function member(m) {
  const is = doing(m), { call } = m;
  const state = el("span", `mark ${is}`, icon(marks[is] ?? "dash"), ["ready", "busy", "not-ready", "logged-off"].includes(is) ? stateWords(desk, m) : is === "blind" ? t(m.unregistered ? "team.unregistered" : "team.unseen") : is === "away" ? t("team.away") : t(is));
  const since = el("span", m.overrun ? "since red" : "since");
  if (m.since) since.dataset.since = m.since;
  const whom = el("span", "hint");
  if (call) whom.append([call.title ?? call.queue, call.name].filter(Boolean).join(" · "), " ", ...number(call.number));
  const more = el("button", "more", icon("more"));
  more.type = "button";
  more.dataset.key = m.agent;
  more.hidden = !m.actions.length;
  more.setAttribute("aria-haspopup", "menu");
  more.setAttribute("aria-label", t("team.do", { who: m.name ?? m.agent }));
  more.onclick = () => menu(m.agent, more);
  return el("li", "row member", state, el("b", "", m.name ?? m.agent), whom, since, more);
}
/** What can be done about an agent, each with what the agent or the customer notices of it. */
function menu(agent, at) {
  const box = $("menu"), who = crew.of(agent);
  if (!who) return;
  box.dataset.agent = agent;
  const item = (title, hint, act) => {
    const b = el("button", "", el("b", "", title), hint ? el("span", "hint", hint) : "");
    b.type = "button";
    b.setAttribute("role", "menuitem");
    b.onclick = () => { box.hidePopover(); void act(); };
    return b;
  };
  const verbs = who.actions.filter((deed) => deed.startsWith("call.")).map((deed) => item(t(deed), t(`${deed}.hint`), () => supervise(deed, agent, { agent })));
  // A state during a call comes after it, as when agents choose their own.
  const later = who.state === "busy", states = !who.actions.includes("agent.state") ? [] : ["ready", "not-ready", "logged-off"].filter((state) => state !== who.state)
    .map((state) => item(t("team.set", { s: t(`state.${state}`) }), later ? t("state.after") : "", () => supervise(later ? "agent.next" : "agent.state", agent, { agent, state })));
  if (verbs.length && states.length) states[0].classList.add("first");
  box.replaceChildren(...verbs, ...states);
  box.showPopover();
  place(box, at);
  box.firstElementChild?.focus();
}
/** Under what it belongs to, and never out of the window. */
function place(box, at) {
  box.style.setProperty("left", "8px"); // its own width, not what is left of the window's
  const row = at.getBoundingClientRect(), own = box.getBoundingClientRect();
  box.style.setProperty("left", `${Math.max(8, Math.min(row.right - own.width, innerWidth - own.width - 8))}px`);
  box.style.setProperty("top", `${Math.max(8, Math.min(row.bottom + 4, innerHeight - own.height - 8))}px`);
}
const rowOf = (agent) => [...$("team-list").querySelectorAll("[data-key]")].find((b) => b.dataset.key === agent);
addEventListener("resize", () => { const row = rowOf($("menu").dataset.agent); if (row) place($("menu"), row); });
async function supervise(deed, agent, body) {
  put($("team-says"), t(deed.startsWith("call.") ? "dialled" : "sending"));
  try { await link.ask(deed, body); put($("team-says"), t(`${deed}.done`, { who: crew.of(agent)?.name ?? agent })); } catch (failed) { put($("team-says"), because(failed)); }
}
function tickTeam() {
  if (!$("team").open) return;
  for (const e of $("team-list").querySelectorAll("[data-since]")) put(e, clock((frozen ?? link.now()) - Date.parse(e.dataset.since)));
}

// One clock for the page.
function tick() {
  tickTeam();
  if (desk.me && ["idle", "gone"].includes($("desk").dataset.is) && !frozen && !document.hidden) void backs.look(link.now());
  const call = desk.call, is = $("desk").dataset.is, away = frozen || desk.switchAway;
  const now = frozen ?? (desk.switchAway ? Date.parse(desk.switchAway.since) : link.now());
  let text = "", part = 0;
  if (call && is === "wrapup") {
    // Until the next call may come; where that is not limited, until it is no longer awaited.
    const { since, until, ready_at } = call.state.wrapup, end = Date.parse(ready_at ?? until), left = end - link.now();
    text = t("left", { n: clock(left) });
    part = Math.max(0, Math.min(1, left / (end - Date.parse(since))));
    if (left < 20_000 && left > 0 && !warned.has(call.pop.pop)) { warned.add(call.pop.pop); say("status", t("say.wrap")); }
  } else if (call) text = (away ? "≈ " : "") + clock(now - Date.parse(call.state.since ?? call.pop.at ?? link.now()));
  put($("clock"), text);
  if (desk.me && !frozen) put($("state"), told(desk, link.now()));
  $("left").firstElementChild.style.setProperty("width", `${(part * 100).toFixed(1)}%`);
  if (desk.gone && link.now() > desk.gone.until) draw();
}
const tickAges = () => { for (const e of $("facts").querySelectorAll("time")) { put(e, age(link.now() - Date.parse(e.dataset.at))); e.title = new Date(e.dataset.at).toLocaleString(language()); } };

// The seat: where this person's calls ring.
async function seat(type, body) {
  put($("seat-says"), t("sending"));
  try {
    await link.ask(type, body);
    put($("seat-says"), "");
    $("device").value = "";
    $("desks").close();
    $("seat").focus();
  } catch (failed) {
    const who = failed.name ?? failed.agent;
    put($("seat-says"), failed.code === "seat-taken" && who ? t("seat.taken", { who }) : because(failed));
  }
}

// One box at a time: two would lie over each other and take each other's clicks.
function open(id) {
  if (id !== "states-box") shutStates(false);
  for (const other of ["panel", "maker", "flow", "desks", "to", "team", "ticketing", "editor"]) if (other !== id && $(other).open) $(other).close();
  if (!$(id).open) $(id).show();
}
// Dial and find: a panel beside the call, never over the strip.
function panel() {
  open("panel");
  $("search-tickets").hidden = !tickets.searches;
  $("query").focus();
  $("query").select(); // what was looked for last gives way to what is typed now
}
async function dial(body) {
  put($("panel-says"), t("sending"));
  try { await link.ask("dial", body); put($("panel-says"), t("dialled")); $("panel").close(); } catch (failed) { put($("panel-says"), because(failed)); }
}
async function search() {
  const query = $("query").value.trim(), call = desk.call?.pop.call;
  if (!query) return;
  put($("panel-says"), t("sending"));
  try {
    const { candidates: found = [] } = await link.ask("customer.search", call ? { call, query } : { query });
    put($("panel-says"), found.length ? "" : t("found-none"));
    $("results").replaceChildren(...found.map((c) => {
      const li = el("li", "row", el("b", "", c.name ?? c.id), el("span", "hint", c.reason), el("span", "source", c.link.system));
      if (call) li.append(button(t("choose"), () => { void choose(call, c.id); $("panel").close(); }));
      const now = desk.calls.get(call)?.pop;
      if (now?.actions.includes("customer.attach") && now.card.attach?.includes(c.link.system)) li.append(button(t("attach"), () => { void attach(call, c.id); $("panel").close(); }));
      if (address(c.url)) li.append(away(c.url, t("open")));
      return li;
    }));
  } catch (failed) { put($("panel-says"), because(failed)); }
}

// A customer is made of an unknown number: beside the call too. The form is not drawn again while somebody types in it.
function maker(call, systems) {
  const box = $("maker");
  box.dataset.call = call;
  $("make-system").replaceChildren(...systems.map((s) => Object.assign(document.createElement("option"), { value: s, textContent: s })));
  $("make-where").hidden = systems.length < 2;
  put($("maker-says"), "");
  open("maker");
  $("make-name").focus();
}
async function make() {
  const call = $("maker").dataset.call, name = $("make-name").value.trim();
  if (!name) return;
  const body = { call, name, system: $("make-system").value };
  for (const field of ["company", "email"]) { const text = $(`make-${field}`).value.trim(); if (text) body[field] = text; }
  put($("maker-says"), t("sending"));
  try {
    await link.ask("customer.create", body);
    made.set(call, t("created", { name, s: body.system }));
    say("status", made.get(call));
    $("maker").close();
    $("make").reset();
  } catch (failed) { put($("maker-says"), because(failed)); }
  draw();
}

// Keys. While an input method composes, Enter and function keys belong to it.
const composing = (e) => e.isComposing || e.key === "Process" || e.keyCode === 229;
addEventListener("keydown", (e) => {
  if (composing(e) || $("desk").hidden) return;
  if (e.key === "F2" && e.shiftKey) { show("do"); $("outcome").focus(); }
  else if (e.key === "F2") { show("do"); $("notes").focus(); }
  else if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === "k") panel();
  else if ((e.ctrlKey || e.metaKey) && e.key === "Enter") void done();
  else if (e.key === "F8" && e.shiftKey) { if (phase(desk.call ?? { state: {} }) !== "ringing") act("call.hangup"); }
  else if (e.key === "F8" && (e.ctrlKey || e.metaKey)) act(desk.call?.verbs.includes("call.retrieve") ? "call.retrieve" : "call.hold");
  else if (e.key === "F8") act("call.answer");
  else if (e.key === "Escape" && $("menu").matches(":popover-open")) { $("menu").hidePopover(); }
  else if (e.key === "Escape" && $("team").open) $("team").close();
  else if (e.key === "Escape" && $("states-box").open) shutStates(true);
  else if (e.key === "Escape" && $("to").open) { $("to").close(); $("find").focus(); }
  else if (e.key === "Escape" && $("desks").open) { $("desks").close(); $("seat").focus(); }
  else if (e.key === "Escape" && $("flow").open) { $("flow").close(); $("find").focus(); }
  else if (e.key === "Escape" && ["ticketing", "editor"].some((id) => $(id).open)) { $("ticketing").close(); $("editor").close(); $("find").focus(); }
  else if (e.key === "Escape" && $("maker").open) { $("maker").close(); $("find").focus(); }
  else if (e.key === "Escape" && $("panel").open) { $("panel").close(); $("find").focus(); }
  else return;
  e.preventDefault();
});
function show(which) {
  tab = which;
  $("body").dataset.tab = tab;
  for (const name of ["facts", "do"]) { $(`tab-${name}`).setAttribute("aria-selected", String(tab === name)); $(`tab-${name}`).tabIndex = tab === name ? 0 : -1; }
}
$("tabs").onkeydown = (e) => { if (e.key === "ArrowRight" || e.key === "ArrowLeft") { show(tab === "facts" ? "do" : "facts"); $(`tab-${tab}`).focus(); } };
$("tab-facts").onclick = () => show("facts");
$("tab-do").onclick = () => show("do");
$("notes").oninput = typed;
for (const field of ["outcome", "ticket"]) $(field).oninput = () => forms.set(drawn, { outcome: $("outcome").value, ticket: $("ticket").checked });
$("done").onclick = () => void done();
$("wants-back").onclick = async () => {
  const call = desk.call?.pop.call;
  if (call && await ask("callback.ask", { call })) { wanted.add(call); say("status", t("callback.asked-done")); draw(); }
};
$("extend").onclick = () => void ask("wrapup.extend", { call: desk.call?.pop.call });
$("keep-on").onclick = () => void ask("agent.state", { state: "not-ready" });
$("state").onclick = openStates;
$("states").onkeydown = (e) => {
  const all = stateItems(), at = all.indexOf(document.activeElement);
  const to = { ArrowDown: (at + 1) % all.length, ArrowUp: (at - 1 + all.length) % all.length, Home: 0, End: all.length - 1 }[e.key];
  if (e.key === "Tab") { shutStates(false); return; }
  if (to === undefined) return;
  all[to]?.focus();
  e.preventDefault();
};
$("seat").onclick = () => { put($("seat-says"), ""); open("desks"); $("device").focus(); };
$("sit").onsubmit = (e) => { e.preventDefault(); const device = $("device").value.trim(); if (device) void seat("seat.claim", { device }); };
$("rise").onclick = () => void seat("seat.leave");
$("stay").onclick = () => { $("desks").close(); $("seat").focus(); };
$("crew").onclick = () => { open("team"); drawTeam(); put($("team-says"), ""); crew.look().catch((failed) => put($("team-says"), because(failed))); $("team-shut").focus(); };
$("team-shut").onclick = () => $("team").close();
$("team").onclose = () => { void crew.leave(); $("crew").focus(); };
$("menu").ontoggle = (e) => {
  if (e.newState === "open") return;
  const { agent } = $("menu").dataset;
  delete $("menu").dataset.agent;
  rowOf(agent)?.focus();
};
$("menu").onkeydown = (e) => {
  const all = [...$("menu").children], step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
  const next = step && all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
  if (!next) return;
  next.focus();
  e.preventDefault();
};
$("send").onsubmit = (e) => { e.preventDefault(); void send(); };
$("to-shut").onclick = () => { $("to").close(); $("find").focus(); };
$("verbs").onkeydown = (e) => {
  const all = [...$("verbs").children], step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
  const next = step && all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
  if (!next) return;
  for (const b of all) b.tabIndex = b === next ? 0 : -1;
  next.focus();
  e.preventDefault();
};
$("find").onclick = panel;
$("shut").onclick = () => { $("panel").close(); $("find").focus(); };
$("make").onsubmit = (e) => { e.preventDefault(); void make(); };
$("make-shut").onclick = () => { $("maker").close(); $("find").focus(); };
$("ask").onsubmit = (e) => { e.preventDefault(); void search(); };
$("search-tickets").onclick = () => void searchTickets();
$("dial").onclick = () => { const text = $("query").value.trim(); if (text) void dial({ number: text }); };
$("pad").append(..."123456789*0#".split("").map((digit) => button(digit, () => { $("query").value += digit; })));
$("here").onclick = () => { link.ask("screen.activate").catch((failed) => say("alert", because(failed))); };
$("leave").onclick = () => { sessionStorage.removeItem("token"); location.reload(); };
$("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
$("lang").onclick = () => { otherLanguage(); words(); draw(); };
function theme(which) { localStorage.setItem("theme", which); document.documentElement.dataset.theme = which; }
function words() {
  document.documentElement.lang = language();
  for (const e of every("[data-t]")) put(e, t(e.dataset.t));
  for (const e of every("[data-l]")) { e.setAttribute("aria-label", t(e.dataset.l)); if (e.tagName === "BUTTON") e.title = t(e.dataset.l); }
  put($("lang"), t("lang"));
}
function door(text) {
  $("desk").hidden = true;
  $("door").hidden = false;
  put($("door-says"), text);
}
function enter(token) { sessionStorage.setItem("token", token); put($("door-says"), t("door.connecting")); link.open(token); }
$("door").onsubmit = (e) => { e.preventDefault(); const token = $("token").value.trim(); $("token").value = ""; if (token) enter(token); };

document.documentElement.dataset.theme = localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
words();
show("facts");
setInterval(tick, 250);
setInterval(tickAges, 5_000);
document.addEventListener("visibilitychange", () => { tick(); tickAges(); });
const token = held ? null : sessionStorage.getItem("token");
door("");
if (token) enter(token);
if (held) void holder().then((found) => {
  outside = found;
  outside.serve({ ask: (type, body) => link.ask(type, body), key: (key) => { document.dispatchEvent(new KeyboardEvent("keydown", { ...key, bubbles: true, cancelable: true })); } });
  document.documentElement.dataset.held = "";
  put($("door-says"), t("door.connecting"));
  link.open((why) => outside.token(why));
});
