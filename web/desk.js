// What is on the desk: the SDK's book of what the frames told, and beside it what an agent sees: which call is on the strip, what has just gone, what is to
// be heard of it. No document is touched here.
import { Book } from "./sdk/linecard.js";

/** @type {new () => any} */
const Told = Book;

export class Desk extends Told {
  /** The call on the strip; the call that has just gone; since when the screen cannot be believed (server's time); why the state is what it is. */
  current; gone; frozen; cause;

  /**
   * Takes one frame of the daemon; answers what an agent should hear of it.
   * @returns {any}
   */
  hear(frame, now) {
    const before = this.calls.get(frame.call)?.pop, phones = this.phones, agent = this.agent, link = frame.type === "link.changed" && this.links.get(`${frame.kind} ${frame.id}`);
    const leaving = frame.call === this.current && this.call;
    const was = this.take(frame);
    if (was.gone !== undefined && leaving && was.reason !== "ended") this.gone = { call: leaving, reason: was.reason, by: frame.by, until: now + 5_000 };
    const left = this.current;
    this.#choose();
    const said = { left: was.gone !== undefined ? { call: leaving && left === was.gone ? leaving : undefined, pop: before, reason: was.reason } : undefined };
    if (was.pop || was.all?.fresh.length) return { ...said, fresh: this.calls.get(was.pop ?? was.all.fresh.at(-1)).pop };
    if (was.updated) return { ...said, updated: this.calls.get(was.updated).pop, before };
    if (was.gone) return was.reason === "ended" ? said : { ...said, withdrawn: was.reason, by: frame.by };
    if (was.link) return link && link.up !== frame.up ? { link: frame } : {};
    if (!was.agent) return {};
    const { state, reason, overrun } = this.agent;
    // What calls do to the state is seen on the strip; what else changed it is said.
    // A switch that wants a reason is given the state's own name: that is none.
    const why = (r) => (r === "not-ready" ? undefined : r);
    const other = state !== agent.state || why(reason) !== why(agent.reason), chosen = ["ready", "not-ready", "logged-off"].includes(state);
    return {
      phone: this.phones.find((p) => !phones.some((b) => b.why === p.why && b.phone === p.phone)),
      state: (state !== agent.state && chosen && !(agent.state === "busy" && state === "ready")) || (overrun && !agent.overrun),
      from: other && chosen && ["ready", "not-ready", "logged-off"].includes(agent.state) ? agent : undefined,
    };
  }

  get call() { return this.calls.get(this.current); }
  get switchAway() { return [...this.links.values()].find((l) => l.kind === "switch" && !l.up); }
  /** The agent's phones that are not registered, or of which nothing is known, where their switch itself is there: `why` and which. One that cannot ring is told once. */
  get phones() {
    const there = (list) => (list ?? []).filter((d) => this.links.get(`switch ${d.switch}`)?.up !== false).map((d) => d.device.replace(/^.*\//, ""));
    const off = there(this.agent.unregistered);
    return [...off.map((phone) => ({ why: "unregistered", phone })), ...there(this.agent.unseen).filter((phone) => !off.includes(phone)).map((phone) => ({ why: "unseen", phone }))];
  }
  /** A business system as people call it. */
  named(system) { return this.systems.find((s) => s.id === system)?.title ?? system; }
  others() { return [...this.calls.values()].filter((c) => c.pop.call !== this.current); }
  show(id) { if (this.calls.has(id)) this.current = id; }
  finish(id) { this.calls.delete(id); this.#choose(); }

  /** The call on the strip stays there until it leaves; then the one that is talked on, one that rings, an open wrap-up. */
  #choose() {
    if (this.calls.has(this.current)) return;
    const rank = { talking: 0, holding: 1, dialling: 2, ringing: 3 };
    const all = [...this.calls.values()].sort((a, b) => (rank[a.state.leg] ?? 4) - (rank[b.state.leg] ?? 4));
    this.current = all[0]?.pop.call;
  }
}

/** ringing, dialling, talking, holding, wrapup or ended. */
export const phase = (call) => call?.state.leg ?? (call?.state.wrapup ? "wrapup" : "ended");

/** The colleague who is asked while the customer holds. */
export const asked = (call, me) => (phase(call) === "holding" ? call.state.agents.find((a) => a.agent !== me && a.role === "consult") : undefined);

/** What can be done to a call on its switch now. */
export const verbsOf = (call) => (call?.state.actions ?? []).filter((action) => action.startsWith("call.") || action === "recording.link");

/** The customer whose record it is, as found or chosen. */
export const customerOf = (pop) => pop.card.candidates.find((c) => c.id === pop.chosen) ?? (pop.chosen === undefined && pop.card.answer.state === "found" ? pop.card.candidates[0] : undefined);

/** The customer's name, if somebody knows it: the one candidate found or chosen, else what the switch showed. */
export function nameOf(pop) {
  return customerOf(pop)?.name ?? ((pop.chosen === null && pop.card.candidates.length) || pop.card.answer.state === "ambiguous" ? undefined : pop.name);
}
