// This page's one desk and one line to the daemon, and what every part of the page does with them.
import { Desk } from "./desk.js";
import { say } from "./hands.js";
import { because } from "./say.js";
import { Connection } from "./sdk/linecard.js";

export const desk = new Desk();
/** @type {{ frame(frame: any): void, up(): void, down(): void, refused(why: string): void, draw(): void }} What app.js does with what comes. */
export const on = /** @type {any} */ ({});
export const link = new Connection({ url: location.href, on: {
  frame: (frame) => on.frame(frame), up: () => on.up(), down: () => on.down(), refused: (why) => on.refused(why),
} });
export const draw = () => on.draw();

/** This page itself asked for a state: what then changes is no news. */
let asked = 0;
export function chose() { asked = Date.now(); desk.cause = undefined; }
export const chosenHere = () => Date.now() - asked < 5_000;

/** The agent did something by hand for the call on the strip: it is counted for the figures (docs/kpis.md). Where that fails nobody is disturbed by it. */
export function counted(kind) {
  const call = desk.call?.pop.call;
  if (call) link.ask("ops.count", { call, kind }).catch(() => {});
}

/** Asks the daemon; what is refused is said. */
export async function ask(what, body) {
  if (what.startsWith("agent.")) chose();
  try { await link.ask(what, body); return true; } catch (failed) { say("alert", because(failed)); return false; }
}
