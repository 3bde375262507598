// How it stands in the agent's own queues while the desk rests: who waits, since when, and what is to be read there. News belong to a socket. No document is touched here.
export class Queues {
  list = [];
  notice = "";
  #link;
  #changed;

  constructor(link, changed) {
    this.#link = link;
    this.#changed = changed;
  }

  take(frame) {
    if (frame.type === "snapshot" || frame.type === "resumed") this.#link.ask("queue.watch", {}).catch(() => {}); // a daemon that does not know it tells nothing
    if (frame.type !== "queues.changed") return;
    this.list = frame.queues;
    this.notice = frame.notice ?? "";
    this.#changed();
  }

  /** How many wait in all of them, and since when the first of them does. */
  get waiting() { return this.list.reduce((n, q) => n + q.waiting, 0); }
  get longest() { return this.list.map((q) => q.longest_since).filter(Boolean).sort()[0]; }
}
