// Customers who are to be called back. Asked for while the desk rests: the list changes with every missed call, and in a call nobody reads it.
const EVERY = 30_000;

export class Callbacks {
  open = 0;
  list = [];
  #link;
  #changed;
  #at = -EVERY;
  #asking = false;

  constructor(link, changed) {
    this.#link = link;
    this.#changed = changed;
  }

  /** Looks again if it is time, or at once. */
  async look(now, once = false) {
    if (this.#asking || (!once && now - this.#at < EVERY)) return;
    this.#asking = true;
    this.#at = now;
    try {
      const { callbacks } = await this.#link.ask("callback.list", {});
      this.open = callbacks?.open ?? 0;
      this.list = callbacks?.list ?? [];
      this.#changed();
    } catch {
      // What was there stays; the next look tells.
    }
    this.#asking = false;
  }
}
