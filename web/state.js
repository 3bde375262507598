// The agent's own state: what the bar says of it, and what can be chosen. No document is touched here.
import { clock, t } from "./say.js";

const named = (desk, reason) => (reason ? desk.reasons.find((r) => r.id === reason)?.label ?? t(`reason.${reason}`, {}, reason) : "");

/** "Not ready, Lunch": the state in words. */
export function stateWords(desk, { state, reason } = desk.agent) {
  return [t(`state.${state}`), named(desk, reason)].filter(Boolean).join(", ");
}

/** What stands beside the name: the state, how long, and what comes after the call. */
export function told(desk, now) {
  const { since, next, overrun, state } = desk.agent;
  const time = since && state !== "ready" ? clock(now - Date.parse(since)) : "";
  return [stateWords(desk), time, overrun && t("state.overrun"), next && t("state.next", { s: stateWords(desk, next) })].filter(Boolean).join(" · ");
}

/** What it will be when the call is over, as far as anybody said. */
export function afterCall(agent) {
  const queues = agent.queues ?? [], paused = queues.length && queues.every((q) => q.state === "not-ready");
  return agent.next ?? (paused ? { state: "not-ready", reason: queues[0].reason } : { state: "ready" });
}

/** What may be chosen: states and reasons (during a call they come after it), then queues. Each with the request that it is. */
export function choices(desk) {
  const { agent } = desk, busy = agent.state === "busy", type = busy ? "agent.next" : "agent.state";
  const chosen = busy ? agent.next : agent;
  const is = (state, reason) => chosen?.state === state && (chosen.reason ?? "") === (reason ?? "");
  const choice = (state, reason) => ({ key: `${state} ${reason ?? ""}`, kind: "radio", group: state === "not-ready" ? t("state.not-ready") : "", text: state === "not-ready" ? named(desk, reason) || t("reason.none") : t(`state.${state}`), on: is(state, reason), ask: [type, reason ? { state, reason } : { state }] });
  const states = [choice("ready"), ...desk.reasons.map((r) => choice("not-ready", r.id)), ...(desk.reasons.length ? [] : [choice("not-ready")]), choice("logged-off")];
  if (busy && agent.next) states.push({ key: "none", kind: "item", group: "", text: t("state.next-none"), on: false, ask: ["agent.next", {}] });
  const queues = new Set([...desk.queues, ...(agent.queues ?? []).filter((q) => q.may_leave).map((q) => q.queue)]);
  const member = (queue) => (agent.queues ?? []).some((q) => q.queue === queue);
  return [...states, ...[...queues].map((queue) => ({ key: `queue ${queue}`, kind: "checkbox", group: t("queues"), text: queue, on: member(queue), ask: [member(queue) ? "queue.logout" : "queue.login", { queue }] }))];
}
