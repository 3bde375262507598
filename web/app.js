// The agent's page: joins the socket, the desk and the document. Each part of the page draws itself; here is what comes, what is heard, and when it is drawn.
import { drawLinks, drawSeat, drawState, help, settings, shutStates, theme, tickState, wordsBy } from "./bar.js";
import { drawTeam, tickTeam } from "./crew.js";
import { noted } from "./day.js";
import { asked, nameOf, phase, verbsOf } from "./desk.js";
import { held, holder } from "./embed.js";
import { drawFacts, tickAges } from "./facts.js";
import { prune } from "./forms.js";
import { $, every, put, say, shut, top } from "./hands.js";
import { chosenHere, counted, desk, draw, link, on } from "./here.js";
import { does, drawHints, shown } from "./keys.js";
import { done, drawDo, reclaim } from "./notes.js";
import { palette } from "./palette.js";
import { backs, crew, flows, queues, tickets } from "./parts.js";
import { drawRing, unlock } from "./ring.js";
import { clock, language, otherLanguage, t, timeOfDay } from "./say.js";
import { stateWords } from "./state.js";
import { act, drawStrip, goneBy, recordOf, tickStrip } from "./strip.js";
import { show } from "./tabs.js";
import { showRecord, told as wishTold } from "./tickets.js";

let outside; // who holds this page, where somebody does
const summed = new Map(); // pops -> whether their facts were announced
let missed = 0; // when a call went on unanswered

on.frame = (frame) => {
  // Another agent signed in where one was before: the page begins anew, with nothing of theirs in it.
  if (frame.type === "welcome" && desk.me && (desk.me.id !== frame.agent.id || desk.me.tenant !== frame.agent.tenant)) { link.close(); location.reload(); return; }
  const was = desk.hear(frame, link.now());
  if (was.left) noted(was.left.call, was.left.reason);
  hear(was);
  outside?.tell({ frame });
  crew.take(frame);
  flows.take(frame);
  queues.take(frame);
  became(tickets.take(frame));
  if (frame.type === "welcome") { void reclaim(); crew.again(); }
  if (frame.type === "snapshot" || frame.type === "resumed") void flows.look();
  draw();
};
let behind; // the stream's place when the connection broke
on.up = () => {
  outside?.tell({ up: true });
  if (desk.frozen) { const n = Math.max(0, link.seq - behind); say("status", n ? t("back.n", { n }) : t("back")); }
  desk.frozen = undefined;
  $("door").hidden = true;
  $("desk").hidden = false;
};
on.down = () => {
  outside?.tell({ down: true });
  if (!desk.frozen && desk.me) { behind = link.seq; desk.frozen = link.now(); say("alert", t("away.us", { t: timeOfDay(desk.frozen) })); }
  draw();
};
on.refused = (why) => { sessionStorage.removeItem("token"); outside?.tell({ refused: why }); door(t("door.refused")); };

// What an agent hears: a pop once and at once, everything else when there is time.
const spoken = (number) => (number?.display ? number.display : t("withheld"));
function hear({ fresh, updated, before, withdrawn, link: changed, phone, state, from, by }) {
  if (fresh) {
    $("audio").pause(); // the phone rings
    const waited = fresh.waited_since ? Date.parse(fresh.at ?? "") - Date.parse(fresh.waited_since) : 0;
    const parts = [t("say.pop"), nameOf(fresh) ?? spoken(fresh.number), fresh.title ?? fresh.queue?.label, waited > 999 && t("say.waited", { n: clock(waited) }), fresh.role === "inbound" && shown("call.answer") && fresh.actions.includes("call.answer") && t("say.answer", { k: shown("call.answer") })];
    if (desk.calls.get(fresh.call)?.state.leg === "ringing") say("alert", parts.filter(Boolean).join(t("say.comma")));
    // A slow system is not waited for with the summary.
    summed.set(fresh.pop, false);
    setTimeout(() => summary(desk.calls.get(fresh.call)?.pop), 2_000);
  }
  const pop = fresh ?? updated;
  if (updated && nameOf(updated) && !nameOf(before)) say("status", t("say.name", { who: nameOf(updated) }));
  else if (pop?.card.blocks.length && pop.card.blocks.every((b) => b.state !== "pending")) summary(pop);
  if (state) say("status", desk.agent.overrun ? `${stateWords(desk)}${t("say.comma")}${t("state.overrun")}` : stateWords(desk));
  if (from && !chosenHere() && desk.agent.active) desk.cause = { why: link.now() - missed < 10_000 ? "cause.missed" : "cause.elsewhere", from: { state: from.state, reason: from.reason } };
  if (phone) say("status", t(phone.why, { s: phone.phone }));
  if (withdrawn === "no-answer") missed = link.now();
  if (withdrawn) say("status", t("say.gone", { why: goneBy(withdrawn, by) }));
  if (changed?.kind === "switch") changed.up ? say("status", t("back")) : say("alert", t("away.switch", { t: timeOfDay(Date.parse(changed.since)) }));
}
function summary(pop) {
  if (!pop || summed.get(pop.pop) || !pop.card.blocks.length || pop.card.answer.state === "ambiguous") return;
  summed.set(pop.pop, true);
  const named = (state) => pop.card.blocks.filter((b) => b.state === state).map((b) => b.title ?? b.system).join(", ");
  const away = named("unavailable"), late = named("pending");
  say("status", away ? t("say.settled-but", { s: away }) : late ? t("say.settled-late", { s: late }) : t("say.settled"));
}
/** What was asked for is done, or is not. */
function became(wish) {
  if (wish && wish.call === desk.call?.pop.call) say(wish.state === "done" || wish.state === "later" ? "status" : "alert", wishTold(wish, desk.named(wish.system)));
}

/** The record's page opens by itself when the call is answered, where the settings say so: once for each call, a reload included. */
function openRecord() {
  const { call } = desk;
  if (desk.open !== "answered" || desk.frozen || !desk.agent.active || phase(call) !== "talking") return;
  const id = call.pop.call, opened = (sessionStorage.getItem("opened") ?? "").split(" ");
  const url = recordOf(call.pop);
  if (!url || opened.includes(id)) return;
  sessionStorage.setItem("opened", [id, ...opened].slice(0, 50).join(" "));
  if (!showRecord(url)) say("alert", t("open-blocked"));
}

on.draw = () => {
  if (!desk.me) return;
  const { call } = desk;
  if (desk.gone && (call || link.now() > desk.gone.until)) desk.gone = undefined;
  if (desk.cause && stateWords(desk, desk.cause.from) === stateWords(desk)) desk.cause = undefined;
  const away = desk.frozen ? { us: true, at: desk.frozen } : desk.switchAway && { at: Date.parse(desk.switchAway.since) };
  prune();
  const is = !desk.agent.active ? "elsewhere" : call ? (asked(call, desk.me.id) ? "consulting" : phase(call)) : desk.gone ? "gone" : "idle";
  turn(is, call?.pop.call);
  $("desk").dataset.is = is;
  $("desk").dataset.away = away ? "yes" : "no";
  drawRing();
  drawState();
  drawSeat();
  $("crew").hidden = !desk.me.roles.includes("supervisor");
  if ($("team").open) drawTeam();
  drawLinks(away);
  drawStrip(is, call);
  drawFacts(is, call);
  drawDo();
  drawHints();
  tick();
  openRecord();
};

/** Narrow: the wrap-up opens the notes, another call its facts; not under hands that type. */
let stood = "";
function turn(is, call) {
  if ($("desk").dataset.is !== is && is === "wrapup") show("do");
  else if (call && call !== stood && !$("do").contains(document.activeElement)) show("facts");
  stood = call ?? "";
}

// One clock for the page.
function tick() {
  if (!desk.me) return;
  const { is } = $("desk").dataset;
  tickTeam();
  tickStrip(is);
  if (!desk.frozen) tickState();
  if (["idle", "gone"].includes(is) && !desk.frozen && !document.hidden) void backs.look(link.now());
  if (desk.gone && link.now() > desk.gone.until) draw();
}

// Keys.
does("call.answer", () => act("call.answer", [...desk.calls.values()].find((c) => phase(c) === "ringing") ?? desk.call));
does("call.hangup", () => { if (phase(desk.call) !== "ringing") act("call.hangup"); });
does("call.hold", () => act(verbsOf(desk.call).includes("call.retrieve") ? "call.retrieve" : "call.hold"));
does("notes", () => { show("do"); $("notes").focus(); });
does("outcome", () => { show("do"); $("outcome").focus(); });
does("palette", palette);
does("done", () => void done());
does("help", help);
does("words", words);
// The top layer, never a call.
does("escape", () => {
  if ($("menu").matches(":popover-open")) $("menu").hidePopover();
  else if (top() === "states-box") shutStates(true);
  else if (top()) shut(top());
});

wordsBy(words);
$("lang").onclick = () => { otherLanguage(); words(); };
function words() {
  document.documentElement.lang = language();
  for (const e of every("[data-t]")) put(e, t(e.dataset.t));
  for (const e of every("[data-l]")) { e.setAttribute("aria-label", t(e.dataset.l)); if (e.tagName === "BUTTON") e.title = t(e.dataset.l); }
  put($("lang"), t("lang"));
  draw();
  settings();
}
function door(text) {
  $("desk").hidden = true;
  $("door").hidden = false;
  put($("door-says"), text);
}
function enter(token) { sessionStorage.setItem("token", token); put($("door-says"), t("door.connecting")); link.open(token); }
$("door").onsubmit = (e) => { e.preventDefault(); unlock(); const token = $("token").value.trim(); $("token").value = ""; if (token) enter(token); };

// What the agent does by hand, for the figures: a record's page opened, the number copied. A page that opens by itself is no hand's work.
for (const click of ["click", "auxclick"]) document.addEventListener(click, (/** @type {MouseEvent} */ { target, button }) => {
  if (button < 2 && target instanceof Element && target.closest("a[target=_blank]")) counted("record-opened");
});
document.addEventListener("copy", () => {
  const digits = (text) => String(text ?? "").replace(/\D/g, ""), ours = digits(desk.call?.pop.number?.display);
  if (ours && digits(getSelection()).includes(ours)) counted("number-copied");
});

theme();
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
