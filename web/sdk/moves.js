// What both shims stand on: how the calls of a Linecard move from phase to phase. A snapshot tells no changes of calls that were known before it; they are
// found here.

/**
 * Hears `began` (call), `moved` (call, phase before), `changed` (call: anything about it, after `moved`) and `gone` (call, reason, phase before); each call of
 * before, too. Answers what ends it.
 */
export function moves(linecard, { began, moved, changed, gone }) {
  const phases = new Map();
  const look = (call) => {
    const was = phases.get(call.id);
    phases.set(call.id, call.phase);
    if (was === undefined) began(call);
    else if (was !== call.phase) moved(call, was);
    changed(call);
  };
  const all = () => { for (const call of linecard.calls) look(call); };
  const ends = [
    linecard.on("pop", look), linecard.on("updated", look), linecard.on("changed", look), linecard.on("agent", all),
    linecard.on("gone", (call, reason) => {
      const was = phases.get(call.id);
      if (phases.delete(call.id)) gone(call, reason, was);
    }),
  ];
  all();
  return () => { for (const end of ends) end(); };
}

/** Whether the call is up on this agent's phone, or on its way. */
export const live = (call) => ["ringing", "dialling", "talking", "holding"].includes(call.phase);

/**
 * Whom the agent asks while the customer waits: `name` where it is a colleague whose phone is seen, and whether that one talks already (`undefined`: not seen).
 * Nothing where nobody is asked.
 */
export function asked(call, me) {
  if (call.phase !== "holding") return undefined;
  const one = call.state.agents.find(({ agent, role }) => agent !== me && role === "consult");
  if (one) return { name: one.name ?? one.agent, talks: one.state === "talking" };
  return call.can("cancel") || call.can("complete") ? { name: undefined, talks: undefined } : undefined;
}

/** Whether the agent is muted, where the switch can do that; what can be done while the call is held says nothing of it. */
export const muted = (call, before) => call.can("unmute") || (before === true && !call.can("mute"));

/** A contract's rows: what of it is there. A name may stand for many: `ChatConnection.*`. */
export const rows = (covered, of, names) => Object.entries(names).flatMap(([list, note]) => list.split(" ").map((name) => ({ name: of ? `${of}.${name}` : name, covered, note })));

/** Gives `prototype` what is not covered: each says so, and what to use. `promised`: by a rejection. */
export function refuses(prototype, covered, of, shim, promised) {
  for (const { name, note } of covered.filter((row) => row.covered === "no")) {
    const [first, last] = name.split(".");
    const method = of === undefined ? name : first === of ? last : undefined;
    if (!method || method === "*" || method === method.toUpperCase()) continue;
    const error = () => new Error(`${name} is not covered by Linecard's ${shim}: ${note}`);
    prototype[method] = promised ? () => Promise.reject(error()) : () => { throw error(); };
  }
}
