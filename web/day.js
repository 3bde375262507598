// The desk at rest: whom to call back, what the last calls were, how it stands in the queues, what waits for this agent's word, and the day so far.
import { nameOf } from "./desk.js";
import { picture } from "./flows.js";
import { button, el, icon, number, running, say } from "./hands.js";
import { ask, desk, link } from "./here.js";
import { drafts, forget } from "./notes.js";
import { backs, flows, queues } from "./parts.js";
import { clock, day, share, t } from "./say.js";

const last = []; // the calls that this tab saw, newest first: people are not kept over a reload

/** A call left the desk: `reason` where its pop was taken back. */
export function noted(call, reason) {
  if (!call) return;
  const { state, pop } = call, gone = reason && reason !== "ended" && reason !== "elsewhere";
  if (!state.answered_at && !gone) return;
  last.unshift({ call: pop.call, at: new Date(link.now()).toISOString(), name: nameOf(pop), number: pop.number, line: pop.title ?? pop.queue?.label, how: gone ? reason : pop.role === "outbound" ? "outbound" : "handled" });
  last.splice(8);
}
/** The day so far, as the daemon counts it; no number that nobody counted. */
export function myDay() {
  const { today } = desk.agent, { calls, handling_ms, csat } = today && Date.parse(today.until) > link.now() ? today : { calls: 0, handling_ms: 0, csat: today?.csat && { good: 0, of: 0 } };
  const list = today ? [["day.calls", String(calls)]] : [];
  if (calls) list.push(["day.aht", clock(handling_ms / calls)]);
  // Only where customers are asked at all.
  if (csat) list.push(["day.csat", csat.of ? share(csat.good, csat.of) : t("block.absent")]);
  return [...list, ["day.callbacks", String(backs.open)], ["day.wrapups", String([...desk.calls.values()].filter((c) => c.state.wrapup).length + drafts.size)]];
}

const minute = () => Math.floor(link.now() / 60_000);
const flow = (f) => picture(f, { el, button }, (what, body) => void ask(what, body));
/** What stands on a desk at rest: as a picture to compare, or drawn. */
export function resting(drawn = false) {
  const kept = [...drafts];
  if (!drawn) return [kept, backs.open, backs.list, minute(), flows.waiting(), last, queues.list, queues.notice];
  const parts = flows.waiting().map(flow);
  if (kept.length) parts.push(el("section", "block tall", el("h2", "", icon("pen"), el("span", "name", t("kept.title"))), ...kept.map(([id, text]) => el("div", "kept", el("p", "", text), button(t("erase"), () => { void forget(id, text); }, id)))));
  parts.push(callBack());
  parts.push(just());
  if (queues.list.length || queues.notice) parts.push(mine());
  return parts;
}
/** "3 waiting, longest 0:51", where the time runs. */
export const longest = (n, since) => [n && since ? el("span", "", t("waits.mine", { n }), t("say.comma"), t("waits.longest"), " ", running(since)) : el("span", "", n ? t("waits.mine", { n }) : t("waits.none"))];
/** The agent's own queues, and what is to be read there. */
function mine() {
  const rows = queues.list.map((q) => el("li", "row queue", el("b", "", q.queue), el("span", "source", ...longest(q.waiting, q.longest_since)), q.notice ? el("p", "notice", q.notice) : ""));
  return el("section", "block rest lines", el("h2", "", icon("two"), el("span", "name", t("queues"))), queues.notice ? el("p", "notice", queues.notice) : "", el("ul", "", ...rows));
}
function just() {
  const rows = last.map((c) => el("li", "row past", el("span", "source", day(c.at)), el("b", "", ...(c.name ? [c.name] : number(c.number))), el("span", "hint", c.line ?? ""),
    el("span", `tag ${c.how === "no-answer" ? "amber" : c.how === "handled" || c.how === "outbound" ? "green" : "grey"}`, icon(c.how === "handled" || c.how === "outbound" ? "ok" : "dash"), el("span", "", t(`how.${c.how}`, {}, t(`gone.${c.how}`))))));
  return el("section", "block rest", el("h2", "", icon("talk"), el("span", "name", t("just.title"))), rows.length ? el("ul", "past-list", ...rows) : el("p", "word", t("idle.facts")));
}
/** Whom to call back. What a colleague has is shown, and is theirs. */
function callBack() {
  if (!backs.open) return el("section", "block rest", el("h2", "", icon("back"), el("span", "name", t("callback.none"))), el("p", "word", t("callback.none.text")));
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
    return el("li", "row back", el("b", "", b.name ?? b.display), el("span", "hint", b.name ? `${b.display} · ${why}` : why, b.note ? ` · ${b.note}` : ""), el("span", "source", state), el("span", "acts-end", ...acts));
  });
  return el("section", "block rest", el("h2", "", icon("back"), el("span", "name", t("callback.title", { n: backs.open }))), el("ul", "list", ...rows));
}
