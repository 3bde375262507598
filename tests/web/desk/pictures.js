// Every state of section "anatomy", one after the other. What each shows is drawn by frames, so that it stands still.
import { CALL, SECOND, VERBS, agent, block, changed, filled, links, number, pending, person, pop, said, seconds } from "./frames.js";

const talking = (more = {}) => changed("talking", "talking", { started_at: seconds(-266), answered_at: seconds(-206), since: seconds(-206), actions: VERBS, ...more });
const calls = (w) => ({ open: 2, list: [
  { callback: "01JD8Z6Q5M0000000000000007", display: "13900139000", masked: false, handle: "c1", name: w.other, why: "abandoned", line: w.queue, since: seconds(-900), last: seconds(-700), count: 2, attempts: 1, due: seconds(-60) },
  { callback: "01JD8Z6Q5M0000000000000008", display: "02161808888", masked: false, handle: "c2", why: "missed", line: w.queue, since: seconds(-500), last: seconds(-300), count: 1, attempts: 0, due: seconds(-60), owner: "1002", owner_name: w.colleague }] });

/** How it stands in the agent's queues, with what is to be read there. */
export const lines = (w) => ({ notice: w.drill, queues: [{ queue: w.queue, waiting: 3, longest_since: seconds(-51), notice: w.notice }, { queue: w.first, waiting: 0 }] });

/** Each: what the daemon says so that the desk comes to this state, and when it is there. */
export const states = {
  "01-idle": { is: "idle", say: (s, w) => { s.say("snapshot", { agent: agent("ready", { since: seconds(-134) }), links: links(), calls: [] }); s.say("queues.changed", lines(w)); } },
  "02-ringing-pending": { is: "ringing", say: (s, w) => s.say("pop", pop(w, pending(w))) },
  "03-ringing-filled": { is: "ringing", say: (s, w) => { s.say("pop", pop(w, pending(w))); s.say("pop.updated", pop(w, filled(w, { tickets: false }))); s.say("link.changed", { ...links()[3], up: false }); } },
  "04-talking": { is: "talking", say: (s, w) => { s.say("agent.changed", agent("busy", { next: { state: "not-ready", reason: "lunch" } })); s.say("pop", pop(w, filled(w), { waited_since: seconds(-248) })); s.say("call.changed", talking()); } },
  "05-consulting": { is: "consulting", say: (s, w) => { s.say("pop", pop(w, filled(w))); s.say("call.changed", changed("holding", "consulting", { since: seconds(-38), answered_at: seconds(-206), agents: [{ agent: "1003", name: w.colleague, role: "consult", state: "talking" }], actions: ["call.complete", "call.conference", "call.cancel"] })); } },
  "06-wrapup": { is: "wrapup", say: (s, w) => { s.say("agent.changed", agent("working-after-call")); s.say("pop", pop(w, filled(w), { waited_since: seconds(-248) })); s.say("call.changed", talking()); s.say("call.changed", changed(undefined, "ended", { wrapup: { since: seconds(-31), until: seconds(1800), ready_at: seconds(29), may_extend: true } })); } },
  "07-candidates": { is: "ringing", say: (s, w) => s.say("pop", pop(w, {
    answer: { state: "ambiguous" }, found_by: "number", blocks: pending(w).blocks.map((b) => ({ ...b, state: "ambiguous" })), candidates: [
      person("C1", w.name, w.main, { reasons: [{ kind: "last-call", at: seconds(-90_000), agent: "1001" }, { kind: "open-tickets", count: 2 }], also: [{ link: { system: "desk", type: "contact", id: "9" }, by: "key", key: "customer_no" }] }),
      person("C2", w.other, w.second), person("C3", w.firm, w.contact, { reasons: [{ kind: "last-contact", at: "2025-05-20T08:00:00Z" }] })] }, { actions: ["candidate.choose", "notes.set", "call.answer", "call.hangup"] })) },
  "08-no-match": { is: "ringing", say: (s, w) => s.say("pop", pop(w, { answer: { state: "absent" }, candidates: [], attach: ["erp"], create: ["erp"], blocks: pending(w).blocks.map((b) => ({ ...b, state: "absent" })) }, { number: number("02161808888", "geographic"), actions: ["candidate.choose", "customer.search", "customer.attach", "customer.create", "notes.set", "call.answer", "call.hangup"] })) },
  "09-link-away": { is: "talking", say: (s, w) => { s.say("pop", pop(w, filled(w), { waited_since: seconds(-248) })); s.say("call.changed", talking()); s.say("link.changed", { ...links()[0], up: false, since: seconds(-1), reason: "connection lost" }); } },
  "10-two-calls": { is: "talking", say: (s, w) => { s.say("pop", pop(w, filled(w), { waited_since: seconds(-248) })); s.say("call.changed", talking()); s.say("pop", pop(w, pending(w), { call: SECOND, role: "internal", name: w.other, title: undefined, queue: undefined, number: number("1007", "internal"), attributes: {} })); } },
};
export const looks = [[1440, 820], [900, 720], [640, 640], [320, 640]];
export { calls, said };
