// What is on the desk: calls, links, the agent. Frames in, a picture out; no document is touched here.
export class Desk {
  me; open = "never"; reasons = []; queues = []; agent = { state: "ready", active: true }; calls = new Map(); links = new Map(); current; gone;

  /**
   * Takes one frame of the daemon; answers what an agent should hear of it.
   * @returns {any}
   */
  take(frame, now) {
    switch (frame.type) {
      case "welcome": this.me = frame.agent; this.open = frame.open ?? "never"; this.reasons = frame.reasons ?? []; this.queues = frame.queues ?? []; return {};
      case "resumed": this.agent = frame.agent; this.#links(frame.links); return {};
      case "snapshot": {
        this.agent = frame.agent;
        this.#links(frame.links);
        const old = this.calls;
        this.calls = new Map();
        let fresh;
        for (const { pop, state, shown, notes } of frame.calls) {
          this.calls.set(pop.call, { pop, state, notes: notes ?? "", verbs: state.actions ?? [] });
          if (!shown && !old.has(pop.call)) fresh = pop;
        }
        this.#choose();
        return { fresh };
      }
      case "pop": case "pop.updated": {
        const known = this.calls.get(frame.call);
        const fresh = frame.type === "pop" && known?.pop.pop !== frame.pop;
        if (!known && frame.type === "pop.updated") return {};
        const state = fresh ? { state: "ringing", leg: frame.role === "outbound" ? "dialling" : "ringing", since: frame.at, role: frame.role, agents: [] } : known.state;
        this.calls.set(frame.call, { ...known, notes: known?.notes ?? "", pop: frame, state, verbs: frame.actions.filter((action) => action.startsWith("call.")) });
        if (fresh) this.#choose();
        return fresh ? { fresh: frame } : { updated: frame, before: known.pop };
      }
      case "pop.withdrawn": {
        const call = this.calls.get(frame.call);
        if (!call || call.pop.pop !== frame.pop) return {};
        this.#drop(frame.call, now, frame.reason);
        return { withdrawn: frame.reason };
      }
      case "call.changed": {
        const call = this.calls.get(frame.call);
        if (!call) return {};
        if (!frame.leg && !frame.wrapup) { this.#drop(frame.call, now); return {}; }
        call.state = frame;
        call.verbs = frame.actions ?? [];
        this.#choose();
        return {};
      }
      case "agent.changed": {
        const before = this.phones, state = this.agent.state, overrun = this.agent.overrun;
        this.agent = frame;
        if (!frame.active) { this.calls.clear(); this.current = undefined; }
        // What calls do to the state is seen on the strip; what else changed it is said.
        const said = frame.state !== state && !["busy", "working-after-call"].includes(frame.state);
        return { phone: this.phones.find((p) => !before.some((b) => b.why === p.why && b.phone === p.phone)), state: said || (frame.overrun && !overrun) };
      }
      case "link.changed": {
        const before = this.links.get(`${frame.kind} ${frame.id}`);
        this.links.set(`${frame.kind} ${frame.id}`, frame);
        return before && before.up !== frame.up ? { link: frame } : {};
      }
      default: return {};
    }
  }

  get call() { return this.calls.get(this.current); }
  get switchAway() { return [...this.links.values()].find((l) => l.kind === "switch" && !l.up); }
  /** The agent's phones that are not registered, or of which nothing is known, where their switch itself is there: `why` and which. One that cannot ring is told once. */
  get phones() {
    const there = (list) => (list ?? []).filter((d) => this.links.get(`switch ${d.switch}`)?.up !== false).map((d) => d.device.replace(/^.*\//, ""));
    const off = there(this.agent.unregistered);
    return [...off.map((phone) => ({ why: "unregistered", phone })), ...there(this.agent.unseen).filter((phone) => !off.includes(phone)).map((phone) => ({ why: "unseen", phone }))];
  }
  others() { return [...this.calls.values()].filter((c) => c.pop.call !== this.current); }
  show(id) { if (this.calls.has(id)) this.current = id; }
  finish(id, now) { this.#drop(id, now); }

  #links(list) { this.links = new Map(list.map((l) => [`${l.kind} ${l.id}`, l])); }

  /** The call on the strip stays there until it leaves; then the one that is talked on, one that rings, an open wrap-up. */
  #choose() {
    if (this.calls.has(this.current)) return;
    const rank = { talking: 0, holding: 1, dialling: 2, ringing: 3 };
    const all = [...this.calls.values()].sort((a, b) => (rank[a.state.leg] ?? 4) - (rank[b.state.leg] ?? 4));
    this.current = all[0]?.pop.call;
  }

  #drop(id, now, reason) {
    const call = this.calls.get(id);
    this.calls.delete(id);
    if (reason && this.current === id) this.gone = { call, reason, until: now + 5_000 };
    this.#choose();
  }
}

/** ringing, dialling, talking, holding, wrapup or ended. */
export const phase = (call) => call.state.leg ?? (call.state.wrapup ? "wrapup" : "ended");

/** The customer's name, if somebody knows it: the one candidate found or chosen, else what the switch showed. */
export function nameOf(pop) {
  const { answer, candidates } = pop.card;
  const one = candidates.find((c) => c.id === pop.chosen) ?? (answer.state === "found" ? candidates[0] : undefined);
  return one?.name ?? (pop.chosen === null || answer.state === "ambiguous" ? undefined : pop.name);
}
