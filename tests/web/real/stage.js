// The real Asterisk, sipp's phones, a real Redmine and the daemon beside them: set up by tests/real, which does what is said here line by line (tests/real/byhand.rs).
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

export class Stage {
  #child; #ended; #waits = []; #dead;

  /** LINECARD_STAGE: the compiled test program; tests/run names it. */
  static async open() {
    const program = process.env.LINECARD_STAGE;
    if (!program) throw new Error("LINECARD_STAGE names no program: tests/run sets it, and starts the Redmine that LINECARD_REDMINE_ENV describes");
    const stage = new Stage();
    stage.#child = spawn(program, ["--by-hand"], { stdio: ["pipe", "pipe", "inherit"] });
    stage.#ended = new Promise((done) => stage.#child.once("exit", done));
    const first = stage.#next();
    createInterface({ input: stage.#child.stdout }).on("line", (line) => {
      const { ok, failed } = JSON.parse(line), { good, bad } = stage.#waits.shift();
      if (failed) bad(new Error(failed)); else good(ok);
    });
    void stage.#ended.then((code) => { stage.#dead = new Error(`the stage ended with ${code}`); for (const { bad } of stage.#waits.splice(0)) bad(stage.#dead); });
    stage.url = await first;
    return stage;
  }

  #next() { return this.#dead ? Promise.reject(this.#dead) : new Promise((good, bad) => { this.#waits.push({ good, bad }); }); }

  /** One line; answers come in the order of the lines. */
  say(...words) {
    const next = this.#next();
    this.#child.stdin.write(`${JSON.stringify(words)}\n`);
    return next;
  }
  async token(agent) { return (await this.say("linecard", "token", "--agent", agent, "--ttl", "1h")).trim(); }

  /** The switch's channels, as it lists them itself. */
  async channels() {
    const said = await this.say("switch", "core show channels concise");
    return said.split("\n").filter((line) => line.includes("!")).map((line) => { const all = line.split("!"); return { name: all[0], state: all[4], application: all[5], data: all[6], bridge: all[12] }; });
  }
  /** The channel of this endpoint, where there is one. */
  async channel(endpoint) { return (await this.channels()).find(({ name }) => name.startsWith(`${endpoint}-`)); }
  /** Packets of sound that the switch sent to this endpoint. */
  async heard(endpoint) {
    const said = await this.say("switch", "pjsip show channelstats");
    const words = said.split("\n").map((line) => line.trim().split(/\s+/)), at = (row) => row.findIndex((word) => word.startsWith(`${endpoint}-`));
    const row = words.find((some) => at(some) >= 0);
    return row ? Number(row[at(row) + 7]) : 0;
  }
  async close() { this.#child.stdin.end(); await this.#ended; }
}

/** Looks ten times a second until `look` gives something: the switch and the Redmine have no event for it. `instead`: what there was, for who reads the failure. */
export async function until(what, look, instead, at_most = 20_000) {
  const end = Date.now() + at_most;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited ${at_most / 1000} s for ${what}; there is ${JSON.stringify(await instead?.())}`);
    await new Promise((next) => { setTimeout(next, 100); });
  }
}
