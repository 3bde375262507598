// Calls of a real Asterisk on the pages, in a real browser: what the pages do is looked for at the switch, and what the switch does on the pages.
import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import { launch, Screen } from "../desk/hands.js";
import { Stage, until } from "./stage.js";

const CALLER = "13912345678";
let stage, browsers, tokens;
before(async () => {
  [stage, ...browsers] = await Promise.all([Stage.open(), launch(), launch()]);
  tokens = Object.fromEntries(await Promise.all(["1001", "1002", "1003"].map(async (agent) => [agent, await stage.token(agent)])));
});
// What a story that failed left is not the next one's.
afterEach(async () => { await stage.say("clear"); await Promise.all(browsers.flatMap((browser) => browser.contexts()).map((context) => context.close())); });
after(async () => { await Promise.all((browsers ?? []).map((browser) => browser.close())); await stage?.close(); });

/** What was announced at once, since the page is there. */
const ears = () => {
  window.announced = [];
  addEventListener("DOMContentLoaded", () => new MutationObserver(() => { const text = document.getElementById("alert").textContent; if (text) window.announced.push(text); }).observe(document.getElementById("alert"), { childList: true, characterData: true, subtree: true }));
};
const desk = (agent, { browser = browsers[0], ...more } = {}) => Screen.open(browser, { url: stage.url, token: tokens[agent], mine: false, init: ears, ...more });
const is = (screen) => screen.page.evaluate(() => document.getElementById("desk").dataset.is);
const announced = (screen) => screen.page.evaluate(() => window.announced.filter((text) => text.startsWith("Incoming call")));
const press = (screen, verb) => screen.page.click(`#verbs [data-key="${verb}"]`);
const quiet = () => until("every channel to end", async () => !(await stage.channels()).length, () => stage.channels());

test("a call shows on one screen of three, once; what the page does to it, the switch does; its wrap-up makes a ticket", async () => {
  await stage.say("register", "1001");
  const phone = await stage.say("phone", "1001", "uas_obeys", "1");
  // Two tabs of one browser and another browser; who comes last is the active one.
  const tab = await desk("1001"), beside = await desk("1001", { beside: tab }), other = await desk("1001", { browser: browsers[1] }), all = [tab, beside, other];
  await Promise.all([tab.is("elsewhere"), beside.is("elsewhere"), other.is("idle")]);
  const caller = await stage.say("customer", CALLER, "02161234567", "trunk_call_wait");
  await other.is("ringing");
  await other.until(() => document.getElementById("name").textContent === "C10002 李娜" && !document.querySelector(".block.pending"));
  assert.equal(await other.page.textContent("#number"), CALLER);
  assert.match(await other.page.textContent("#line"), /Direct line/);
  await other.shot("60-real-ringing");
  const shown = () => Promise.all(all.map(is));
  assert.deepEqual(await shown(), ["elsewhere", "elsewhere", "ringing"]);
  assert.deepEqual((await Promise.all(all.map(announced))).map((list) => list.length), [0, 0, 1]);

  await other.page.reload();
  await other.is("ringing");
  assert.equal(await other.page.textContent("#name"), "C10002 李娜");
  await until("one screen to have it", async () => (await shown()).filter((what) => what === "ringing").length === 1);
  assert.deepEqual((await Promise.all(all.map(announced))).map((list) => list.length), [0, 0, 0], "nobody is told twice");

  await press(other, "call.answer");
  await other.is("talking");
  const [own, far] = [await stage.channel("PJSIP/1001"), await stage.channel("PJSIP/trunk")];
  assert.ok(own.state === "Up" && own.bridge && own.bridge === far.bridge, JSON.stringify([own, far]));
  assert.equal(await stage.heard("trunk"), 0, "sipp's phones say nothing");
  await press(other, "call.hold");
  await other.is("holding");
  await until("the caller to hear the music", async () => await stage.heard("trunk") > 0);
  await press(other, "call.retrieve");
  await other.is("talking");
  await press(other, "call.hangup");
  await other.is("wrapup");
  await quiet();
  await stage.say("done", caller);
  await stage.say("done", phone);

  const call = await other.page.evaluate(() => document.getElementById("notes").dataset.call);
  await other.page.fill("#notes", "Wants the invoice of June once more.");
  await other.page.fill("#outcome", "Billing");
  await other.page.check("#ticket");
  await other.page.keyboard.press("Control+Enter");
  await other.is("idle");
  const [ticket] = await until("the ticket in the Redmine", async () => { const list = await stage.say("tickets", call); return list.length && list; });
  assert.match(ticket.description, /Billing[^]*Wants the invoice of June once more\./);
  for (const screen of all) assert.deepEqual(screen.complaints, []);
});

test("of two phones that ring one is answered: the other's pop is taken back, and says by whom", async () => {
  await stage.say("register", "1001", "1002");
  const silent = await stage.say("phone", "1001", "uas_noanswer", "1");
  const taker = await stage.say("phone", "1002", "uas_answer", "1", "RING_MS=2500");
  const [first, second] = [await desk("1001"), await desk("1002", { browser: browsers[1] })];
  await Promise.all([first.is("idle"), second.is("idle")]);
  const caller = await stage.say("customer", CALLER, "02161234574", "trunk_call_wait");
  await Promise.all([first.is("ringing"), second.is("ringing")]);
  assert.match(await first.page.textContent("#line"), /Ring group/);
  await first.is("gone");
  assert.equal(await first.page.textContent("#name"), "Agent Wang answered");
  assert.equal(await first.page.textContent("#status"), "Call gone: Agent Wang answered");
  await first.shot("61-real-answered-elsewhere");
  await second.is("talking");
  await first.is("idle");
  assert.deepEqual((await stage.channels()).map(({ name }) => name.split("-")[0]).sort(), ["PJSIP/1002", "PJSIP/trunk"]);
  await press(second, "call.hangup");
  await second.is("wrapup");
  await quiet();
  for (const party of [caller, taker, silent]) await stage.say("done", party);
  await second.page.keyboard.press("Control+Enter");
  await second.is("idle");
  assert.deepEqual([first.complaints, second.complaints], [[], []]);
});

test("the board listens, whispers and joins on the real call, and sets a state: the switch has each, and nothing is left of it", async () => {
  await stage.say("register", "1001", "1003");
  const ear = await stage.say("phone", "1003", "uas_answer", "3", "RING_MS=300");
  const phone = await stage.say("phone", "1001", "uas_answer", "1", "RING_MS=500");
  const agent = await desk("1001");
  await agent.is("idle");
  const board = await Screen.open(browsers[1], { url: new URL("/board", stage.url).href, token: tokens["1003"], mine: false });
  const choose = async (word) => {
    await board.page.click("[data-key='agent 1001']");
    await board.page.click(`#menu button:has(span:text-is("${word}"))`);
    await board.until(() => document.getElementById("status").textContent === "Done");
    await board.page.evaluate(() => { document.getElementById("status").textContent = ""; });
  };
  await board.page.waitForSelector("[data-key='agent 1001']");
  // With sound on the line: ChanSpy does not let go of a line that carries none.
  await stage.say("customer", CALLER, "02161234567", "trunk_speaks", "TALK_MS=50000");
  await agent.is("talking");
  const own = await stage.channel("PJSIP/1001"), path = await agent.page.textContent("#path");
  await board.until(() => document.querySelector("[data-key='agent 1001']").textContent.includes("Talking"));
  for (const [word, options] of [["Listen", "qES"], ["Whisper", "qESw"], ["Join", "qESB"]]) {
    await choose(word);
    const spy = await until(`${word} at the switch`, async () => { const found = await stage.channel("PJSIP/1003"); return found?.application === "ChanSpy" && found; });
    assert.deepEqual([spy.data, spy.bridge], [`${own.name},${options}`, ""]);
    await until("the supervisor to be sent what is said", async () => await stage.heard("1003") > 0);
    if (word === "Join") await board.shot("62-real-board");
    await stage.say("switch", `channel request hangup ${spy.name}`);
    await until("the supervisor to be gone", async () => !(await stage.channel("PJSIP/1003")));
    const now = await stage.channel("PJSIP/1001");
    assert.deepEqual([now.name, now.bridge], [own.name, own.bridge], "the call goes on as it was");
  }
  assert.equal(await agent.page.textContent("#path"), path, "the agent's page was told of nothing");
  await stage.say("done", ear);
  await press(agent, "call.hangup");
  await agent.is("wrapup");
  await quiet();
  await stage.say("done", phone);
  await agent.page.keyboard.press("Control+Enter");
  await agent.is("idle");

  await agent.until(() => document.getElementById("state").textContent === "Ready");
  const paused = async () => /1001.*paused/.test(await stage.say("switch", "queue show support"));
  await choose("Not ready");
  await until("1001 paused in the queue", paused);
  await agent.until(() => document.getElementById("state").textContent.includes("Not ready") && document.getElementById("cause").textContent.includes("by a supervisor"));
  await choose("Ready");
  await until("1001 in the queue again", async () => !await paused());
  await agent.until(() => document.getElementById("state").textContent.includes("Ready") && !document.getElementById("state").textContent.includes("Not"));
  assert.deepEqual([agent.complaints, board.complaints], [[], []]);
});
