// The agents of a supervisor's teams: a list while somebody looks, and news of each. No document is touched here.
export class Team {
  agents = 0;
  list = [];
  #link;
  #changed;
  #looks = false;

  constructor(link, changed) {
    this.#link = link;
    this.#changed = changed;
  }

  /** Asks for the list, and for news from now on. Rejects with what the daemon says. */
  async look() {
    this.#looks = true;
    const { team } = await this.#link.ask("team.list", {});
    this.agents = team?.agents ?? 0;
    this.list = team?.list ?? [];
    this.#changed();
  }

  /** News belong to a socket: a new one is asked again. */
  again() {
    if (this.#looks) this.look().catch(() => {}); // what was there stays
  }

  async leave() {
    this.#looks = false;
    try { await this.#link.ask("team.list", { watch: false }); } catch { /* then news come that nobody draws */ }
  }

  take(frame) {
    if (frame.type !== "team.changed") return;
    const at = this.list.findIndex((m) => m.agent === frame.agent);
    if (at < 0) return;
    this.list[at] = frame;
    this.#changed();
  }

  of(agent) { return this.list.find((m) => m.agent === agent); }
}

/** What an agent does, in one word: ringing, dialling, talking, holding, wrapup, busy, blind, away or the state that was chosen. */
export function doing(member) {
  if (member.call) return member.call.leg;
  if (member.state === "working-after-call") return "wrapup";
  if (member.state !== "ready") return member.state;
  if (member.unregistered || member.unseen) return "blind"; // not seen is not idle
  return member.here ? "ready" : "away";
}
