// The strip (who, which line, how long), what can be done to the call, and the lane below it: the way the caller came, or the other call.
import { asked, customerOf, nameOf, phase, verbsOf } from "./desk.js";
import { $, button, composing, el, every, fill, icon, number, open, put, running, say, shut } from "./hands.js";
import { ask, desk, draw, link } from "./here.js";
import { listen } from "./heard.js";
import { shown } from "./keys.js";
import { because, clock, label, ordinal, t } from "./say.js";
import { longest, myDay } from "./day.js";
import { stateWords } from "./state.js";
import { address } from "./tickets.js";
import { sending } from "./notes.js";
import { queues } from "./parts.js";

/** What caller and switch gave, each with the label of the switch's file. */
export const named = (field, name) => field?.label ?? label(name.split(".").at(-1));
const attributes = (pop) => Object.entries(pop?.attributes ?? {}).map(([name, v]) => [named(pop.fields?.find((f) => f.name === name), name), v]);
/** The page of the call's record: the line's, else the customer's own. The daemon checked the address; here it is looked at once more. */
export const recordOf = (pop) => (pop ? address(pop.target) || address(customerOf(pop)?.url) : "");

const marks = { ringing: "ring", dialling: "talk", talking: "talk", holding: "hold", consulting: "two", wrapup: "pen", gone: "dash", elsewhere: "dash", ended: "dash" };
const verbIcons = {
  "call.answer": "talk", "call.hangup": "end", "call.hold": "hold", "call.retrieve": "talk", "call.mute": "mute", "call.unmute": "mute", "call.digits": "keys", "call.transfer": "pass", "call.consult": "two",
  "call.complete": "pass", "call.conference": "two", "call.cancel": "back", "call.park": "clock", "call.pickup": "talk", "recording.link": "talk",
};
/** One order for every switch; hanging up is last, and never where something else was. */
const order = ["call.answer", "call.complete", "call.conference", "call.hold", "call.retrieve", "call.mute", "call.unmute", "call.transfer", "call.consult", "call.digits", "call.park", "call.pickup",
  "call.record.start", "call.record.stop", "call.record.pause", "call.record.resume", "recording.link", "call.cancel", "call.hangup"];

/** The tier, where a system says one: of the customer's own facts, else of a block. */
function tierOf(pop) {
  const facts = customerOf(pop)?.facts, block = pop.card.blocks.find((b) => (b.state === "fresh" || b.state === "stale") && typeof b.body?.tier === "string");
  return facts ? String(facts.tier ?? block?.body.tier ?? "").slice(0, 24) : "";
}

/** Why a pop was taken back; who answered, where that was a colleague. */
export const goneBy = (reason, by) => (by ? t("gone.by", { who: by.name ?? by.agent }) : t(`gone.${reason}`));

/** Who it is, or how far we are with that. */
function headOf(is, pop) {
  if (is === "elsewhere") return t("elsewhere");
  if (is === "gone") {
    return goneBy(desk.gone.reason, desk.gone.by);
  }
  if (!pop) return t("waiting");
  const { state, why } = pop.card.answer;
  const known = nameOf(pop);
  if (known) return known;
  if (pop.chosen === null && pop.card.candidates.length) return t("unnamed");
  if (state === "ambiguous") return t("ambiguous", { n: pop.card.candidates.length });
  return { pending: t("asking"), absent: t("absent"), "not-asked": t(`not-asked.${why}`), unavailable: t("no-answer-yet") }[state] ?? t("unnamed");
}

export function drawStrip(is, call) {
  const pop = call?.pop ?? (is === "gone" ? desk.gone.call.pop : undefined);
  const colleague = is === "consulting" ? asked(call, desk.me.id) : undefined;
  put($("name"), colleague ? colleague.name ?? colleague.agent : headOf(is, pop));
  put($("tier"), pop && !colleague ? tierOf(pop) : "");
  put($("tag"), pop && !colleague ? t(`role.${pop.role}`, {}, "") : "");
  const rests = is === "idle";
  fill($("number"), rests ? ["rests", queues.list.length, queues.waiting, queues.longest] : colleague ? colleague.agent : pop?.number, () => (rests ? queues.list.length ? longest(queues.waiting, queues.longest) : [] : colleague ? [t("ext", { n: colleague.agent })] : number(pop?.number)));
  put($("line"), colleague ? t("sees-card") : !pop ? "" : [pop.brand, pop.title ?? pop.line?.display, pop.queue?.label].filter(Boolean).join(" · "));
  const page = $("page"), target = colleague ? "" : recordOf(pop);
  page.hidden = !target;
  if (target) page.href = target; else page.removeAttribute("href");
  page.ariaLabel = page.title = t("page");
  const given = colleague ? [] : attributes(pop);
  const waited = !colleague && pop?.waited_since && call && Date.parse(call.state.answered_at ?? call.state.since ?? pop.at) - Date.parse(pop.waited_since);
  fill($("more"), [waited, given], () => [
    waited > 999 ? el("span", "waited", el("i", "", t("waited")), clock(waited)) : "",
    given.length ? el("span", "keyed", ...given.map(([k, v]) => el("span", "", el("i", "", k), v))) : "",
  ].filter(Boolean));
  fill($("word"), is, () => (marks[is] && is !== "gone" && is !== "elsewhere" ? [icon(marks[is]), t(is)] : []));
  drawControls(is, call);
  fill($("path"), [desk.others().map((c) => [c.pop.call, phase(c), nameOf(c.pop), c.pop.number, c.state.actions]), is, pop && [pop.queue, pop.title, pop.waited_since, pop.role, pop.had_by, pop.called_before], call?.state.agents, call?.state.started_at, given, is === "idle" && [myDay(), desk.agent.queues]], () => lane(is, call, given));
  const { cause } = desk;
  fill($("cause"), cause, () => (cause ? [el("span", "", t(cause.why, { s: stateWords(desk, desk.agent) })), button(stateWords(desk, cause.from), () => void undo(cause.from), "cause")] : []));
}
async function undo({ state, reason }) {
  desk.cause = undefined;
  await ask("agent.state", reason ? { state, reason } : { state });
  draw();
}

// What can be done to the call on the strip, here and now: what the daemon offers, and nothing else. One stop for Tab, arrows inside.
function drawControls(is, call) {
  const away = desk.frozen || desk.switchAway;
  const offered = verbsOf(call).sort((a, b) => order.indexOf(a) - order.indexOf(b));
  fill($("verbs"), [call?.pop.call, offered, is, !!away, order.map((verb) => shown(verb))], () => offered.map((verb, at) => {
    const word = verb === "call.hangup" && is === "ringing" ? "decline" : verb, kind = { "call.hangup": "red", "call.answer": "green", "call.complete": "strong" }[verb] ?? "";
    const b = button("", () => act(verb), verb, kind);
    b.append(icon(verbIcons[verb] ?? "more"), el("span", "", t(word)));
    if (["call.hold", "call.retrieve"].includes(verb)) b.setAttribute("aria-pressed", String(verb === "call.retrieve"));
    if (["call.mute", "call.unmute"].includes(verb)) b.setAttribute("aria-pressed", String(verb === "call.unmute"));
    if (verb === "call.answer" && shown(verb)) b.dataset.shows = shown(verb);
    b.title = [t(word), shown(verb)].filter(Boolean).join("  ");
    // What cannot work just now stays, and says why.
    if (away) { b.setAttribute("aria-disabled", "true"); b.setAttribute("aria-describedby", "links"); b.title = t("use-phone"); }
    b.tabIndex = at ? -1 : 0;
    return b;
  }));
  const due = call?.state.wrapup;
  $("seek").hidden = is !== "idle" && is !== "gone";
  $("seek").dataset.shows = shown("palette");
  $("here").hidden = is !== "elsewhere";
  $("extend").hidden = is !== "wrapup" || !due?.may_extend;
  $("keep-on").hidden = is !== "wrapup" || !due?.ready_at;
  $("done").hidden = is !== "wrapup";
  $("done").dataset.shows = shown("done");
  $("done").disabled = !!call && sending(call.pop.call);
}

/** The second call or the one on hold, else who is in it and how the caller came; at rest the day so far. */
function lane(is, call, given) {
  const others = desk.others().map((c) => {
    const on = phase(c) === "ringing", b = button("", () => { desk.show(c.pop.call); draw(); }, c.pop.call, on ? "second" : "");
    b.append(icon(marks[phase(c)] ?? "dash"), el("b", "", on ? t("second-call") : t(phase(c))), running(c.state.since), el("span", "", nameOf(c.pop) ?? ""), el("span", "num", ...number(c.pop.number)));
    const answer = on && verbsOf(c).includes("call.answer") ? button(t("call.answer"), () => void ask("call.answer", { call: c.pop.call }), `${c.pop.call} answer`, "second") : "";
    if (answer && shown("call.answer")) answer.dataset.shows = shown("call.answer");
    return on ? [b, el("span", "hint", t("holds-this")), answer] : [b];
  }).flat();
  if (others.length) return others;
  if (is === "consulting") return [el("span", "blue", icon("hold"), el("b", "", t("customer-on-hold")), running(call.state.since)), el("span", "", nameOf(call.pop) ?? "", el("span", "num", ...number(call.pop.number)))];
  if (is === "idle") {
    const mine = [desk.me.name ?? desk.me.id, ...(desk.agent.queues ?? []).filter((q) => q.state === "ready").map((q) => q.queue)];
    return [...myDay().map(([key, n]) => el("span", key === "day.csat" ? "more-day" : "", el("i", "", t(key)), el("b", "", n))), el("span", "mine", mine.join(" · "))];
  }
  if (!call) return [];
  const { pop, state } = call, waits = Date.parse(pop.waited_since), began = Date.parse(state.started_at), end = Date.parse(state.answered_at ?? state.since ?? pop.at);
  const way = [];
  if (pop.role === "inbound" && pop.queue) {
    // Told apart only where both ends of the time are known.
    if (waits - began > 999) way.push([t("ivr"), clock(waits - began)]);
    way.push([pop.queue.label, end - waits > 999 ? clock(end - waits) : ""]);
  }
  // Colleagues who had the customer before.
  way.push(...(pop.had_by ?? []).map((had) => [had.agent === desk.me.id ? t("you.here") : had.name ?? had.agent, had.ms === undefined ? "" : clock(had.ms)]));
  const steps = way.map(([name, time]) => [el("span", "", el("i", "", name), time ? el("b", "", time) : ""), icon("next")]).flat();
  const names = (state.agents ?? []).filter((a) => a.agent !== desk.me.id).map((a) => el("span", "", `${a.name ?? a.agent} · ${t(a.state)}`));
  const keyed = given.map(([k, v]) => el("span", "given", el("i", "", k), v));
  const before = pop.called_before?.calls ? t(`nth.${ordinal(pop.called_before.calls + 1)}`, { n: pop.called_before.calls + 1, d: pop.called_before.days }) : "";
  // How many wait is true for as long as it rings, and old afterwards.
  const waiting = is === "ringing" && pop.queue?.waiting ? el("span", "waits", t("waits.n", { n: pop.queue.waiting })) : "";
  const last = before || waiting ? el("span", "end", waiting, before ? el("b", "", before) : "") : "";
  return [...steps, steps.length ? el("b", "", t("you.here")) : "", ...names, ...keyed, last].filter(Boolean);
}

const wants = { "call.transfer": "to", "call.consult": "to", "call.digits": "digits" };
export function act(verb, of = desk.call) {
  const call = of?.pop.call;
  if (!call || !verbsOf(of).includes(verb)) return;
  if (desk.frozen || desk.switchAway) { say("alert", t("use-phone")); return; }
  if (verb === "recording.link") { void listen(call); return; }
  if (!wants[verb]) { void ask(verb, { call }); return; }
  $("to").dataset.verb = verb;
  $("to").dataset.call = call;
  put($("to-what"), t(wants[verb] === "to" ? "to" : "keys"));
  put($("to-go"), t(verb));
  put($("to-says"), "");
  open("to");
  $("target").focus();
  $("target").select();
}
$("send").onsubmit = async (e) => {
  e.preventDefault();
  const { verb, call } = $("to").dataset, text = $("target").value.trim();
  if (!text) return;
  put($("to-says"), t("sending"));
  try { await link.ask(verb, { call, [wants[verb]]: text }); shut("to"); $("send").reset(); } catch (failed) { put($("to-says"), because(failed)); }
};
$("to-shut").onclick = () => shut("to");
$("verbs").onkeydown = (e) => {
  if (composing(e)) return;
  const all = [...$("verbs").children], step = { ArrowRight: 1, ArrowLeft: -1 }[e.key];
  const next = step && all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
  if (!next) return;
  for (const b of all) b.tabIndex = b === next ? 0 : -1;
  next.focus();
  e.preventDefault();
};
$("extend").onclick = () => void ask("wrapup.extend", { call: desk.call?.pop.call });
$("keep-on").onclick = () => void ask("agent.state", { state: "not-ready" });
$("here").onclick = () => void ask("screen.activate");

const warned = new Set(); // wrap-ups whose last 20 seconds were said
/** The clock of the strip: how long it is so, or how long the wrap-up may still take. Guessed where nobody tells. */
export function tickStrip(is) {
  const { call } = desk, away = desk.frozen ?? (desk.switchAway && Date.parse(desk.switchAway.since));
  let text = "", part = 0;
  if (call && is === "wrapup") {
    // Until the next call may come; where that is not limited, until it is no longer awaited.
    const { since, until, ready_at } = call.state.wrapup, end = Date.parse(ready_at ?? until), left = end - link.now();
    text = t("left", { n: clock(left) });
    part = Math.max(0, Math.min(1, left / (end - Date.parse(since))));
    if (left < 20_000 && left > 0 && !warned.has(call.pop.pop)) { warned.add(call.pop.pop); say("status", t("say.wrap")); }
  } else if (call) text = (away ? "≈ " : "") + clock((away || link.now()) - Date.parse(call.state.since ?? call.pop.at ?? link.now()));
  put($("clock"), text);
  for (const e of every(".runs")) put(e, e.dataset.since ? clock((away || link.now()) - Date.parse(e.dataset.since)) : "");
  $("left").firstElementChild.style.setProperty("width", `${(part * 100).toFixed(1)}%`);
}
