// What a board's figures come to: verdicts against the limits, sums over queues. No document is touched here.

/** @typedef {"ok" | "near" | "over" | "unknown"} Verdict */

/** More is worse; near from four fifths of the limit on. @returns {Verdict} */
export const above = (value, limit) => (value === undefined ? "unknown" : value > limit ? "over" : limit > 0 && value >= limit * 0.8 && value > 0 ? "near" : "ok");
/** Less is worse; near within five points. @returns {Verdict} */
export const below = (value, limit) => (value === undefined ? "unknown" : value < limit ? "over" : value < limit + 5 ? "near" : "ok");

/** Percent, of nothing nothing. */
export const percent = (n, of) => (of > 0 ? (n / of) * 100 : undefined);

/** All queues together. @param {any} board @param {number} now */
export function whole(board, now) {
  const sum = (of) => board.queues.reduce((all, queue) => all + (queue[of] ?? 0), 0);
  const since = board.queues.map((queue) => queue.longest_since).filter(Boolean).map((at) => Date.parse(at));
  return {
    waiting: sum("waiting"), offered: sum("offered"), in_time: sum("in_time"), abandoned: sum("abandoned"),
    longest: since.length ? Math.max(0, now - Math.min(...since)) : 0,
  };
}

/** The six figures of the wall, each somebody can act on. @param {any} board @param {number} now */
export function tiles(board, now) {
  const all = whole(board, now), limits = board.limits;
  const level = percent(all.in_time, all.offered), given = percent(all.abandoned, all.offered);
  return [
    { id: "waiting", value: all.waiting, kind: "count", verdict: above(all.waiting, limits.waiting), limit: ["limit", limits.waiting] },
    { id: "longest", value: all.longest, kind: "time", verdict: above(all.longest / 1000, limits.longest_s), limit: ["limit-s", limits.longest_s] },
    { id: "level", value: level, kind: "percent", verdict: level === undefined ? "unknown" : below(level, limits.service_level), limit: ["limit-level", limits.service_level], of: [all.in_time, all.offered] },
    { id: "abandoned", value: given, kind: "percent", verdict: given === undefined ? "unknown" : above(given, limits.abandonment), limit: ["limit-share", limits.abandonment], of: [all.abandoned, all.offered] },
    { id: "ready", value: board.agents.ready, kind: "count", verdict: board.agents.ready === 0 && all.waiting > 0 ? "over" : "ok" },
    { id: "alerts", value: board.alerts.length, kind: "count", verdict: board.alerts.length ? "over" : "ok" },
  ];
}

/** What an agent does, by which tiles are grouped. @param {any} member */
export function group(member) {
  if (member.state === "busy" || member.call) return "busy";
  if (member.state === "working-after-call") return "after_call";
  if (member.state === "not-ready") return "not_ready";
  if (member.state === "logged-off" || !(member.here || member.in_queue)) return "away";
  return "ready";
}

/** How fresh what is shown is. @param {number} ms @returns {"fresh" | "old" | "dead"} */
export const freshness = (ms) => (ms > 30_000 ? "dead" : ms > 5_000 ? "old" : "fresh");
