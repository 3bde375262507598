// What an agent does and hears: hands, keys, words. The test is the daemon here, so that every frame comes when it should.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CALL, SECOND, VERBS, agent, block, changed, filled, links, number, pending, person, pop, said, seconds } from "./frames.js";
import { launch, Screen } from "./hands.js";
import { site } from "./site.js";

let browser, url, stop;
before(async () => { browser = await launch(); ({ url, stop } = await site()); });
after(async () => { await browser?.close(); await stop?.(); });
const w = said("en");

async function desk(options = {}, welcome = {}) {
  const screen = await Screen.open(browser, { url, ...options });
  screen.answers = { "callback.list": { callbacks: { open: 0, list: [] } }, "flow.list": { flows: { offers: [], list: [] } } };
  await screen.welcome(welcome);
  screen.say("snapshot", { agent: agent("ready"), links: links(), calls: [] });
  await screen.is("idle");
  return screen;
}
/** Everything that a screen reader was told, in order. */
const listen = (screen) => screen.page.evaluate(() => {
  window.said = [];
  for (const id of ["alert", "status"]) new MutationObserver(() => { const text = document.getElementById(id).textContent; if (text) window.said.push(`${id}: ${text}`); }).observe(document.getElementById(id), { childList: true, characterData: true, subtree: true });
});
const heard = (screen) => screen.page.evaluate(() => window.said);
const drawn = (screen) => screen.page.evaluate(() => new Promise((good) => requestAnimationFrame(() => requestAnimationFrame(() => good(undefined)))));
const talking = (more = {}) => changed("talking", "talking", { answered_at: seconds(-3), actions: VERBS, ...more });
const wrapup = (more = {}) => changed(undefined, "ended", { answered_at: seconds(-60), wrapup: { since: seconds(0), until: seconds(1800), ready_at: seconds(60), may_extend: true, ...more } });

test("nothing moves over a whole call, at any width", async () => {
  for (const [width, height] of [[1440, 820], [900, 720], [320, 640]]) {
    const screen = await desk({ width, height });
    await screen.page.evaluate(() => { window.shifts.length = 0; });
    const steps = [
      ["ringing", () => screen.say("pop", pop(w, pending(w)))],
      ["ringing", () => screen.say("pop.updated", pop(w, { ...pending(w), blocks: filled(w).blocks.map((b, i) => (i ? { ...b, state: "pending", body: undefined } : b)) }))],
      ["ringing", () => screen.say("pop.updated", pop(w, filled(w, { tickets: false })))],
      ["talking", () => screen.say("call.changed", talking())],
      ["talking", () => screen.say("pop", pop(w, pending(w), { call: SECOND, role: "internal", name: w.other, number: number("1007", "internal") }))],
      ["talking", () => screen.say("pop.withdrawn", { pop: `${SECOND}-1`, call: SECOND, reason: "no-answer" })],
      ["holding", () => screen.say("call.changed", changed("holding", "held", { answered_at: seconds(-9), actions: ["call.retrieve", "call.hangup"] }))],
      ["talking", () => screen.say("call.changed", talking())],
      ["wrapup", () => screen.say("call.changed", wrapup())],
      ["idle", () => screen.say("call.changed", changed(undefined, "ended"))],
    ];
    for (const [is, say] of steps) {
      say();
      await screen.is(is);
      await drawn(screen);
    }
    const shifts = await screen.page.evaluate(() => window.shifts);
    assert.deepEqual(shifts, [], `at ${width}`);
    await screen.close();
  }
});

test("a pop is said once and at once, its facts once and politely", async () => {
  const screen = await desk();
  await listen(screen);
  screen.say("pop", pop(w, pending(w)));
  await screen.is("ringing");
  screen.say("pop.updated", pop(w, { ...pending(w), answer: { state: "found" }, candidates: [person("C1", w.name, w.main)] }));
  await screen.until((name) => document.getElementById("name").textContent === name, w.name);
  await drawn(screen);
  screen.say("pop.updated", pop(w, filled(w, { tickets: false })));
  await screen.until(() => document.querySelector(".block.unavailable"));
  await drawn(screen);
  screen.say("pop.updated", pop(w, filled(w, { tickets: false })));
  screen.say("pop.withdrawn", { pop: `${CALL}-1`, call: CALL, reason: "caller-gone" });
  await screen.is("gone");
  const all = await heard(screen);
  assert.equal(all.length, 4, all.join("\n"));
  assert.match(all[0], /^alert: Incoming call, 13800138000, Xiaolan After-sales, waited 0:4\d, F8 to answer$/);
  assert.equal(all[1], `status: It is ${w.name}`);
  assert.equal(all[2], "status: Facts are in, Tickets unavailable");
  assert.equal(all[3], "status: Call gone: Caller hung up");
  // No other live region anywhere, and none of them grew later.
  assert.equal(await screen.page.evaluate(() => document.querySelectorAll('[aria-live]:not([aria-live=off]), [role=alert], [role=status], [role=log], [role=alertdialog]').length), 2);
  await screen.close();
});

test("why something is not there or failed is said in the reader's language, and what the page has no word for as the daemon says it", async () => {
  const flow = (steps, more = {}) => ({ flow: "f1", name: "refund", title: { en: "Refund", zh: "退款" }, state: "undoing", call: CALL, since: seconds(-9), steps, actions: [], ...more });
  const steps = [
    { step: "agree", state: "done", reason: "by 1002", by: "1002" }, { step: "pay", state: "failed", reason: "invalid: 账户已销户", trouble: { kind: "invalid" } },
    { step: "tell", state: "trying", reason: "rate-limited: asked too often", trouble: { kind: "rate-limited", seconds: 40 } }, { step: "own", state: "failed", reason: "the order is not paid" }, { step: "new", state: "failed", reason: "it is Sunday", trouble: { kind: "sunday" } }];
  const wanted = {
    en: ["— Tickets gave no answer in 3 s", "No number to ask by", "by 1002", "The system does not take it · 账户已销户", "The system was asked too often; again in 40 s", "the order is not paid", "it is Sunday", "Nobody agreed in time", "Comment on ticket #7 at Tickets · not done · Changed at Tickets meanwhile"],
    "zh-CN": ["— 工单没有在3秒内应答", "没有可查的号码", "由1002", "系统不接受所填内容 · 账户已销户", "系统被问得太频繁，40秒后可再查", "the order is not paid", "it is Sunday", "没有人及时同意", "工单工单#7的备注 · 未完成 · 工单里刚被别人改过"],
  };
  for (const [lang, list] of Object.entries(wanted)) {
    const w = said(lang), screen = await desk({ lang }, { systems: [{ id: "desk", title: w.tickets, tickets: [] }] });
    const card = filled(w, { tickets: false });
    card.blocks.push(block("crm", "notes", "CRM", "absent", { reason: "a machine's number", trouble: { kind: "not-asked" } }));
    screen.say("pop", pop(w, card));
    screen.say("call.changed", talking());
    screen.say("flow.changed", flow(steps, { reason: "nobody agreed in time", trouble: { kind: "no-agreement" } }));
    screen.say("wish.changed", { call: CALL, wish: "w1", what: "note.add", system: "desk", ticket: "7", state: "refused", reason: "conflict: ", trouble: { kind: "conflict" } });
    await screen.until(() => document.querySelectorAll(".step .hint").length === 5 && document.querySelector(".block.unavailable"));
    const shown = await screen.page.evaluate(() => document.getElementById("desk").innerText);
    for (const words of list) assert.ok(shown.includes(words), `${words}\n${shown}`);
    assert.ok(!/did not answer|machine's number/.test(shown), shown);
    assert.deepEqual(screen.complaints, []);
    await screen.close();
  }
});

test("a slow system is not waited for: after two seconds it is named", async () => {
  const screen = await desk();
  await listen(screen);
  screen.say("pop", pop(w, { ...filled(w), blocks: [filled(w).blocks[0], block("desk", "tickets.open", w.tickets, "pending")] }));
  await screen.until(() => window.said.some((s) => s === "status: Facts are in, Tickets still asked"));
  await screen.close();
});

test("60 characters typed at 10 a second stay what they are while pops come, fill and go", async () => {
  const screen = await desk();
  screen.say("pop", pop(w, filled(w)));
  screen.say("call.changed", talking());
  await screen.is("talking");
  await screen.page.focus("#notes");
  const words = "Visit was missed on Saturday; wants Monday, 9 to 11; call a9.", letters = [...words];
  assert.equal(letters.length, 61);
  const other = (card) => pop(w, card, { call: SECOND, number: number("13900139000") });
  for (const [i, letter] of letters.entries()) {
    await screen.page.keyboard.press(letter === " " ? "Space" : letter, { delay: 0 });
    if (i % 12 === 2) screen.say("pop", other(pending(w)));
    if (i % 12 === 5) { screen.say("pop.updated", other(filled(w))); screen.say("pop.updated", pop(w, filled(w, { tickets: i % 2 === 0 }))); }
    if (i % 12 === 9) screen.say("pop.withdrawn", { pop: `${SECOND}-1`, call: SECOND, reason: "answered-elsewhere" });
    await new Promise((good) => setTimeout(good, 100));
  }
  assert.deepEqual(await screen.page.evaluate(() => { const n = document.getElementById("notes"); return [n.value, n.selectionStart, n.selectionEnd, document.activeElement.id, n.scrollTop]; }), [words, 61, 61, "notes", 0]);
  assert.equal(await screen.page.evaluate(() => document.getElementById("desk").dataset.is), "talking");
  await screen.close();
});

test("a call that goes under typing hands takes its words along, and the next call gets none of them", async () => {
  const screen = await desk();
  screen.say("pop", pop(w, filled(w)));
  screen.say("call.changed", talking());
  await screen.is("talking");
  screen.say("pop", pop(w, pending(w), { call: SECOND, number: number("13900139000") }));
  await screen.page.focus("#notes");
  await screen.page.keyboard.type("of the first");
  screen.say("call.changed", changed(undefined, "ended"));
  await screen.is("ringing");
  await screen.page.keyboard.type(" call");
  const note = await screen.hear("notes.set");
  assert.deepEqual([note.call, note.text], [CALL, "of the first"]);
  assert.deepEqual(await screen.page.evaluate(() => [document.getElementById("notes").value, document.activeElement.id]), ["", "name"]);
  await screen.close();
});

test("words of two calls that are typed in one breath are both saved", async () => {
  const screen = await desk();
  screen.say("pop", pop(w, filled(w)));
  screen.say("call.changed", talking());
  await screen.is("talking");
  screen.say("pop", pop(w, pending(w), { call: SECOND, number: number("13900139000") }));
  await screen.page.waitForSelector("#path .second");
  await screen.page.evaluate(() => {
    const type = (text) => { const n = document.getElementById("notes"); n.value = text; n.dispatchEvent(new Event("input")); };
    type("of the first");
    document.querySelector("#path .second").click();
    type("of the second");
  });
  const notes = [await screen.hear("notes.set"), await screen.hear("notes.set")];
  assert.deepEqual(notes.map((note) => [note.call, note.text]), [[CALL, "of the first"], [SECOND, "of the second"]]);
  await screen.close();
});

test("words that could not be written down are sent again by themselves", async () => {
  const screen = await desk();
  screen.say("pop", pop(w, filled(w)));
  screen.say("call.changed", talking());
  await screen.is("talking");
  await screen.page.fill("#notes", "while the disk is full");
  const first = await screen.hear("notes.set");
  screen.say("failed", { id: first.id, code: "unavailable", message: "it could not be written down; try again" });
  await screen.until(() => document.getElementById("saved").textContent === "Kept here, sent when back");
  const second = await screen.hear("notes.set");
  assert.equal(second.text, "while the disk is full");
  screen.done(second);
  await screen.until(() => document.getElementById("saved").textContent === "Saved");
  await screen.close();
});

test("another agent who signs in at a page that stayed open finds nothing of the one before", async () => {
  const screen = await desk();
  screen.say("pop", pop(w, filled(w)));
  screen.say("call.changed", talking());
  await screen.is("talking");
  await screen.page.fill("#notes", "of the first agent");
  await screen.hear("notes.set"); // and no answer comes
  await screen.cut(4401);
  await screen.until(() => !document.getElementById("door").hidden);
  await screen.page.fill("#token", "d.e.f");
  await screen.page.click("#enter");
  const other = { agent: { id: "1002", tenant: "default", name: "Wu Min", roles: [] } };
  const place = await screen.welcome(other);
  assert.deepEqual([place.epoch, place.seq], [undefined, undefined], "the place in the stream was another's");
  await screen.welcome(other); // the page has begun anew
  screen.say("snapshot", { agent: agent("ready", { agent: "1002" }), links: links(), calls: [] });
  await screen.is("idle");
  const next = Promise.race([screen.hear("notes.set").then(() => "notes.set"), screen.hear("flow.list").then(() => "flow.list")]);
  assert.equal(await next, "flow.list", "what the first one wrote is not said in the second one's name");
  assert.equal((await screen.page.content()).includes("of the first agent"), false);
  await screen.close();
});

test("after a restart of the daemon words are sent again, and no number is dialled twice", async () => {
  const screen = await desk();
  screen.say("pop", pop(w, filled(w)));
  screen.say("call.changed", talking());
  await screen.is("talking");
  await screen.page.fill("#notes", "before the restart");
  await screen.hear("notes.set"); // and no answer comes to this,
  await screen.page.keyboard.press("Control+F8");
  const held = await screen.hear("call.hold"); // nor to this
  assert.equal(held.call, CALL);
  await screen.cut();
  const place = await screen.welcome({ epoch: 8 });
  assert.deepEqual([place.epoch, place.seq], [undefined, undefined]);
  screen.say("snapshot", { agent: agent("busy"), links: links(), calls: [{ pop: pop(w, filled(w)), state: talking(), shown: true, notes: "" }] });
  assert.equal((await screen.hear("notes.set")).text, "before the restart");
  await screen.until(() => document.body.textContent.includes("Linecard started anew before it answered"));
  await screen.page.keyboard.press("Control+F8");
  assert.notEqual((await screen.hear("call.hold")).id, held.id, "what an agent asks for now is asked for, and nothing else");
  await screen.close();
});

test("keys: answer, hold, hang up but not while it rings, and none while an input method composes", async () => {
  const screen = await desk();
  screen.say("pop", pop(w, filled(w)));
  await screen.is("ringing");
  await screen.page.keyboard.press("Shift+F8");
  await screen.page.evaluate(() => dispatchEvent(new KeyboardEvent("keydown", { key: "F8", isComposing: true, bubbles: true })));
  await screen.page.evaluate(() => dispatchEvent(new KeyboardEvent("keydown", { key: "Process", bubbles: true })));
  await screen.page.keyboard.press("F8");
  const answer = await screen.hear("call.answer");
  assert.equal(answer.call, CALL);
  screen.done(answer);
  screen.say("call.changed", talking());
  await screen.is("talking");
  await screen.page.keyboard.press("F2");
  assert.equal(await screen.page.evaluate(() => document.activeElement.id), "notes");
  await screen.page.keyboard.press("Control+F8");
  screen.done(await screen.hear("call.hold"));
  await screen.page.keyboard.press("Shift+F2");
  assert.equal(await screen.page.evaluate(() => document.activeElement.id), "outcome");
  // With two calls F8 answers the one that rings.
  screen.say("pop", pop(w, pending(w), { call: SECOND }));
  await screen.until(() => document.querySelector("#path .second"));
  await screen.shot("12-second-call");
  await screen.page.keyboard.press("F8");
  const second = await screen.hear("call.answer");
  assert.equal(second.call, SECOND);
  screen.done(second);
  await screen.page.keyboard.press("Shift+F8");
  const up = await screen.hear("call.hangup");
  assert.equal(up.call, CALL, "nothing was hung up before");
  await screen.close();
});

test("every key can be another one, or none, and stays so", async () => {
  const screen = await desk();
  await screen.page.keyboard.press("Control+/");
  await screen.until(() => document.getElementById("settings").open);
  const key = (name) => `[data-key="key ${name}"]`;
  await screen.page.click(key("call.answer"));
  await screen.page.keyboard.press("a");
  await screen.until(() => document.getElementById("settings-says").textContent.includes("others type text"));
  await screen.page.keyboard.press("F9");
  await screen.until(() => document.querySelector('[data-key="key call.answer"]').textContent === "F9");
  await screen.page.click(key("notes"));
  await screen.page.keyboard.press("Backspace");
  await screen.until(() => document.querySelector('[data-key="key notes"]').textContent === "off");
  await screen.shot("13-settings");
  assert.deepEqual(await screen.axe(), []);
  await screen.page.keyboard.press("Escape");
  await screen.page.reload();
  await screen.welcome();
  screen.say("snapshot", { agent: agent("ready"), links: links(), calls: [] });
  screen.say("pop", pop(w, filled(w)));
  await screen.is("ringing");
  assert.equal(await screen.page.getAttribute('[data-key="call.answer"]', "data-shows"), "F9");
  await screen.page.keyboard.press("F8");
  await screen.page.keyboard.press("F2");
  assert.notEqual(await screen.page.evaluate(() => document.activeElement.id), "notes");
  await screen.page.keyboard.press("F9");
  assert.equal((await screen.hear("call.answer")).call, CALL);
  await screen.close();
});

test("the palette: any command by its name, a number to dial, by keys alone", async () => {
  const screen = await desk();
  await screen.page.keyboard.press("Control+k");
  await screen.page.keyboard.type("lunch");
  await screen.until(() => document.querySelectorAll("#commands li").length === 1);
  await screen.shot("14-palette");
  assert.deepEqual(await screen.axe(), []);
  await screen.page.keyboard.press("ArrowDown");
  await screen.page.keyboard.press("Enter");
  const set = await screen.hear("agent.state");
  assert.deepEqual([set.state, set.reason], ["not-ready", "lunch"]);
  screen.done(set);
  await screen.page.keyboard.press("Control+k");
  await screen.page.keyboard.type("10010");
  assert.equal(await screen.page.evaluate(() => document.querySelectorAll("#commands li").length), 0);
  await screen.page.click("#dial");
  assert.equal((await screen.hear("dial")).number, "10010");
  await screen.close();
});

test("the outcome is found by words and by the initials of its pinyin, and the likeliest are one click", async () => {
  const zh = said("zh-CN"), screen = await desk({ lang: "zh-CN" }, { outcomes: { support: zh.outcome.map((path) => path.join("/")) } });
  screen.say("pop", pop(zh, filled(zh)));
  screen.say("call.changed", wrapup());
  await screen.is("wrapup");
  await screen.page.keyboard.press("Shift+F2");
  await screen.page.keyboard.type("gysm");
  await screen.until(() => document.querySelectorAll("#outcomes li").length === 1);
  await screen.shot("15-outcome-zh");
  assert.deepEqual(await screen.axe(), []);
  await screen.page.keyboard.press("ArrowDown");
  await screen.page.keyboard.press("Enter");
  assert.equal(await screen.page.inputValue("#outcome"), "报修 › 改约上门");
  await screen.page.click("#likely button:nth-child(2)");
  assert.equal(await screen.page.inputValue("#outcome"), "报修 › 新报修");
  await screen.page.keyboard.press("Control+Enter");
  const sent = await screen.hear("wrapup.submit");
  assert.deepEqual(sent.disposition, ["报修", "新报修"]);
  screen.done(sent);
  await screen.is("idle");
  // Done leads to the dial field.
  assert.equal(await screen.page.evaluate(() => document.activeElement.id), "seek");
  await screen.close();
});

test("candidates: none is chosen before a person does, by its digit; then the focus is at the facts", async () => {
  const screen = await desk();
  const list = [person("C1", w.name, w.main), person("C2", w.other, w.second)];
  const card = { answer: { state: "ambiguous" }, candidates: list, blocks: pending(w).blocks.map((b) => ({ ...b, state: "ambiguous" })) };
  screen.say("pop", pop(w, card, { actions: ["candidate.choose"] }));
  await screen.until(() => document.querySelectorAll("[role=option]").length === 3);
  assert.equal(await screen.page.locator("[role=option][aria-selected=true]").count(), 0);
  assert.equal(await screen.page.evaluate(() => document.activeElement.tagName), "BODY");
  await screen.page.focus("[role=option]");
  await screen.page.keyboard.press("2");
  const chosen = await screen.hear("candidate.choose");
  assert.equal(chosen.candidate, "erp:customer:C2");
  screen.done(chosen);
  screen.say("pop.updated", pop(w, { ...filled(w), candidates: [list[1], list[0]] }, { chosen: "erp:customer:C2", actions: ["candidate.choose", "candidate.forget"] }));
  await screen.until((name) => document.getElementById("name").textContent === name, w.other);
  await screen.until(() => document.activeElement.id === "facts");
  await screen.close();
});

test("nobody found: find, make, or only log the call; what was said can be taken back, and nothing is asked meanwhile", async () => {
  const screen = await desk({ lang: "zh-CN" });
  const card = { answer: { state: "absent" }, candidates: [], create: ["erp"], blocks: pending(w).blocks.map((b) => ({ ...b, state: "absent" })) };
  const known = (more) => pop(w, card, { name: "Reception", actions: ["candidate.choose", "customer.search", "customer.create", "call.answer"], ...more });
  const seen = () => screen.page.evaluate(() => [document.getElementById("name").textContent, document.querySelector(".who-is .source").firstChild.textContent, [...document.querySelectorAll(".who-is button")].map((b) => b.textContent)]);
  screen.say("pop", known({}));
  await screen.until(() => document.querySelectorAll(".who-is button").length === 3);
  assert.deepEqual((await seen())[2], ["查客户", "新建客户", "只记这通电话"]);
  await screen.page.evaluate(() => { window.shifts.length = 0; });
  await screen.page.focus('[data-key="who log"]');
  await screen.page.keyboard.press("Enter");
  const said = await screen.hear("candidate.choose");
  assert.deepEqual([said.call, said.candidate], [CALL, null]);
  screen.done(said);
  screen.say("pop.updated", known({ chosen: null, actions: ["candidate.choose", "candidate.forget", "customer.search", "customer.create", "call.answer"] }));
  await screen.until(() => document.querySelectorAll(".who-is button").length === 1);
  assert.deepEqual(await seen(), ["Reception", "只记通话", ["撤销"]]);
  assert.equal(await screen.page.evaluate(() => document.activeElement.id), "facts");
  assert.deepEqual(await screen.page.evaluate(() => window.shifts), []);
  await screen.page.click('[data-key="who undo"]');
  screen.done(await screen.hear("candidate.forget"));
  screen.say("pop.updated", known({}));
  await screen.until(() => document.querySelectorAll(".who-is button").length === 3);
  assert.deepEqual(screen.complaints, []);
  await screen.close();
});

test("what changed the state is said, and one click takes it back; what was chosen here is no news", async () => {
  const screen = await desk();
  screen.say("pop", pop(w, filled(w)));
  await screen.is("ringing");
  screen.say("pop.withdrawn", { pop: `${CALL}-1`, call: CALL, reason: "no-answer" });
  screen.say("agent.changed", agent("not-ready", { reason: "missed" }));
  await screen.until(() => document.getElementById("cause").textContent.includes("after a missed call"));
  await screen.shot("16-cause");
  await screen.page.click('[data-key="cause"]');
  const back = await screen.hear("agent.state");
  assert.equal(back.state, "ready");
  screen.done(back);
  screen.say("agent.changed", agent("ready"));
  await screen.until(() => !document.getElementById("cause").textContent);
  await screen.page.click("#state");
  await screen.page.click('[data-key="not-ready break"]');
  screen.done(await screen.hear("agent.state"));
  screen.say("agent.changed", agent("not-ready", { reason: "break" }));
  await screen.until(() => document.getElementById("state").textContent.includes("Break"));
  assert.equal(await screen.page.textContent("#cause"), "");
  await screen.close();
});

test("a switch that gives a pause its own name as the reason changes nothing that was said", async () => {
  const screen = await desk();
  screen.say("agent.changed", agent("not-ready"));
  await screen.until(() => document.getElementById("cause").textContent.includes("by a supervisor"));
  screen.say("agent.changed", agent("not-ready", { reason: "not-ready" }));
  screen.say("link.changed", { ...links()[1], up: false });
  await screen.until(() => document.getElementById("links").textContent.includes("away"));
  assert.ok((await screen.page.textContent("#cause")).includes("by a supervisor"));
  await screen.close();
});

test("the state after the call is always in sight, and can be changed and taken back during it", async () => {
  const screen = await desk();
  screen.say("agent.changed", agent("busy"));
  screen.say("pop", pop(w, filled(w)));
  screen.say("call.changed", talking());
  await screen.until(() => document.getElementById("state").textContent === "After call:Ready");
  await screen.page.click("#state");
  await screen.page.click('[data-key="not-ready lunch"]');
  const next = await screen.hear("agent.next");
  assert.equal(next.reason, "lunch");
  screen.done(next);
  screen.say("agent.changed", agent("busy", { next: { state: "not-ready", reason: "lunch" } }));
  await screen.until(() => document.getElementById("state").textContent === "After call:Not ready, Lunch");
  await screen.page.click("#state");
  await screen.page.click('[data-key="none"]');
  assert.equal((await screen.hear("agent.next")).state, undefined);
  await screen.close();
});

test("the wrap-up runs down, warns once 20 seconds before, and can be put off, stayed in and done", async () => {
  const screen = await desk();
  await listen(screen);
  screen.say("pop", pop(w, filled(w)));
  screen.say("call.changed", wrapup({ ready_at: seconds(21) }));
  await screen.is("wrapup");
  await screen.until(() => window.said.includes("status: 20 seconds of wrap-up left"));
  const width = () => screen.page.evaluate(() => document.querySelector("#left i").getBoundingClientRect().width);
  const before = await width();
  await screen.page.click("#extend");
  const more = await screen.hear("wrapup.extend");
  screen.done(more);
  screen.say("call.changed", wrapup({ since: seconds(-2), ready_at: seconds(80) }));
  await screen.until((was) => document.querySelector("#left i").getBoundingClientRect().width > was, before);
  await screen.page.click("#keep-on");
  assert.equal((await screen.hear("agent.state")).state, "not-ready");
  await screen.page.click("#done");
  const sent = await screen.hear("wrapup.submit");
  screen.say("failed", { id: sent.id, code: "unavailable", message: "not now" });
  await screen.until(() => document.getElementById("do-says").textContent.includes("Your words are kept"));
  assert.equal((await heard(screen)).filter((s) => s.includes("20 seconds")).length, 1);
  await screen.close();
});

test("the lane says the way here: from whom and how long, how often they called; how many wait, while it rings", async () => {
  for (const [lang, way, end] of [["en", ["IVR", "0:18", w.queue, "1:12", w.colleague, "3:20", "You"], ["3 more waiting", "2nd call in 7 days"]], ["zh-CN", ["语音导航", "0:18", w.queue, "1:12", w.colleague, "3:20", "您"], ["还有3人排队", "7天内第2次来电"]]]) {
    const screen = await desk({ lang }), at = Date.now(), ago = (s) => new Date(at - s * 1000).toISOString();
    screen.say("pop", pop(w, filled(w), { waited_since: ago(72), had_by: [{ agent: "1003", name: w.colleague, ms: 200_000 }] }));
    screen.say("call.changed", changed("ringing", "ringing", { started_at: ago(90), since: ago(0) }));
    const path = () => screen.page.evaluate(() => [...document.querySelectorAll("#path > :not(.end):not(.given)")].flatMap((e) => (e.children.length ? [...e.children] : [e])).map((e) => e.textContent).filter(Boolean));
    await screen.until(() => document.querySelector("#path .end"));
    assert.deepEqual(await path(), way);
    assert.deepEqual(await screen.page.evaluate(() => [...document.querySelector("#path .end").childNodes].map((e) => e.textContent)), end);
    screen.say("call.changed", talking());
    await screen.is("talking");
    assert.deepEqual(await screen.page.evaluate(() => [...document.querySelector("#path .end").childNodes].map((e) => e.textContent)), end.slice(1));
    await screen.close();
  }
});

test("the day so far is the daemon's, also after a reload, and yesterday's is none of today's", async () => {
  const lane = (screen) => screen.page.textContent("#path");
  for (const [until, said] of [[3600, ["Calls today23", "Handling time4:12"]], [-1, ["Calls today0"]]]) {
    const screen = await desk();
    screen.say("agent.changed", agent("ready", { today: { calls: 23, handling_ms: 23 * 252_000, until: seconds(until) } }));
    await screen.until((text) => document.getElementById("path").textContent.startsWith(text), said.join(""));
    assert.equal((await lane(screen)).includes("Handling time"), said.length > 1);
    await screen.close();
  }
  // What customers answered: with how many; "none" where nobody did; not there where nobody is asked.
  const screen = await desk(), day = { calls: 2, handling_ms: 480_000, until: seconds(3600) };
  for (const [csat, said] of [[{ good: 11, of: 12 }, "CSAT92% (12)"], [{ good: 0, of: 0 }, "CSATnone"], [undefined, ""]]) {
    screen.say("agent.changed", agent("ready", { today: { ...day, csat } }));
    await screen.until((text) => document.getElementById("path").textContent === `Calls today2Handling time4:00${text}Callbacks0Open wrap-ups0Li Na`, said);
  }
  screen.say("agent.changed", agent("ready", { today: undefined }));
  await screen.until(() => !document.getElementById("path").textContent.includes("Calls today"));
  await screen.close();
});

test("at rest: who waits in the agent's own queues and for how long, and what is to be read there; nothing moves", async () => {
  for (const [width, height] of [[1440, 820], [900, 720], [320, 640]]) {
    const screen = await Screen.open(browser, { url, width, height });
    screen.answers = { "callback.list": { callbacks: { open: 0, list: [] } }, "flow.list": { flows: { offers: [], list: [] } }, "queue.watch": {} };
    await screen.welcome();
    screen.say("snapshot", { agent: agent("ready"), links: links(), calls: [] });
    await screen.hear("queue.watch");
    const queues = (waiting, since) => screen.say("queues.changed", { notice: "Drill at 15:00.\n<b>Now</b>", queues: [{ queue: "support", waiting, longest_since: since && seconds(-since), notice: "Late today." }, { queue: "sales", waiting: 0 }] });
    queues(0);
    await screen.until(() => document.getElementById("number").textContent === "Nobody waiting");
    assert.equal(await screen.page.textContent(".lines > .notice"), "Drill at 15:00.\n<b>Now</b>");
    await screen.page.evaluate(() => { window.shifts.length = 0; });
    queues(3, 51);
    // The time runs at the page.
    await screen.until(() => /^3 waiting, longest 0:5[2-9]$/.test(document.getElementById("number").textContent));
    assert.match(await screen.page.textContent(".queue"), /^support3 waiting, longest 0:5\dLate today\.$/);
    queues(12, 3_700);
    await screen.until(() => /1:01:4\d$/.test(document.getElementById("number").textContent));
    assert.deepEqual(await screen.page.evaluate(() => window.shifts), [], `at ${width}`);
    // In a call the place is the caller's.
    screen.say("pop", pop(w, filled(w)));
    await screen.is("ringing");
    assert.equal(await screen.page.textContent("#number"), "13800138000");
    assert.deepEqual(screen.complaints, []);
    await screen.close();
  }
});

test("where the queue requires an outcome, the wrap-up ends with one and says so", async () => {
  const screen = await desk();
  screen.say("pop", pop(w, filled(w), { outcome_required: true }));
  screen.say("call.changed", talking());
  screen.say("call.changed", wrapup());
  await screen.is("wrapup");
  assert.equal(await screen.page.textContent("label[for=outcome]"), "Outcome, required");
  await screen.page.focus("#notes");
  await screen.page.keyboard.press("Control+Enter");
  await screen.until(() => document.activeElement.id === "outcome" && document.getElementById("alert").textContent === "Choose an outcome first.");
  await screen.page.keyboard.type("Repair");
  await screen.page.keyboard.press("Control+Enter");
  assert.deepEqual((await screen.hear("wrapup.submit")).disposition, ["Repair"]);
  assert.deepEqual(await screen.axe(), []);
  await screen.close();
});

test("answered elsewhere: who it was, grey, for five seconds, then rest", async () => {
  const screen = await desk();
  screen.say("pop", pop(w, filled(w)));
  await screen.is("ringing");
  screen.say("pop.withdrawn", { pop: `${CALL}-1`, call: CALL, reason: "answered-elsewhere", by: { agent: "1003", name: w.colleague } });
  await screen.is("gone");
  const since = Date.now();
  assert.equal(await screen.page.textContent("#name"), `${w.colleague} answered`);
  await screen.shot("17-answered-elsewhere");
  await screen.is("idle");
  assert.ok(Date.now() - since > 4_000);
  assert.ok((await screen.page.textContent(".past-list")).includes("Answered elsewhere"));
  await screen.close();
});

test("the link goes: the clock is guessed, verbs say why they cannot, notes are kept; and it comes back", async () => {
  const screen = await desk();
  screen.say("pop", pop(w, filled(w)));
  screen.say("call.changed", talking());
  await screen.is("talking");
  await listen(screen);
  await screen.cut();
  await screen.until(() => document.getElementById("desk").dataset.away === "yes" && document.getElementById("clock").textContent.startsWith("≈"));
  const held = await screen.page.textContent("#clock");
  await screen.page.focus("#verbs button");
  assert.equal(await screen.page.getAttribute("#verbs button", "aria-disabled"), "true");
  await screen.page.keyboard.press("Shift+F8");
  await screen.until(() => window.said.some((s) => s.includes("Use your phone")));
  await screen.page.fill("#notes", "typed while away");
  await screen.until(() => document.getElementById("saved").textContent === "Kept here, sent when back");
  assert.equal(await screen.page.textContent("#clock"), held, "the clock stands");
  const place = await screen.welcome();
  assert.equal(place.seq, screen.seq);
  screen.say("resumed", { agent: agent("busy"), links: links() });
  await screen.until(() => document.getElementById("desk").dataset.away === "no");
  const note = await screen.hear("notes.set");
  assert.equal(note.text, "typed while away");
  screen.done(note);
  await screen.until(() => document.getElementById("saved").textContent === "Saved");
  await screen.close();
});

test("the toolbar is one stop for Tab, and arrows go through it", async () => {
  const screen = await desk();
  screen.say("pop", pop(w, filled(w)));
  screen.say("call.changed", talking());
  await screen.is("talking");
  assert.deepEqual(await screen.page.evaluate(() => [...document.querySelectorAll("#verbs button")].map((b) => [b.textContent, b.tabIndex])), [["Hold", 0], ["Mute", -1], ["Transfer", -1], ["Consult", -1], ["Hang up", -1]]);
  await screen.page.focus("#verbs button");
  await screen.page.keyboard.press("ArrowLeft");
  assert.equal(await screen.page.evaluate(() => document.activeElement.textContent), "Hang up");
  await screen.page.keyboard.press("Tab");
  assert.equal(await screen.page.evaluate(() => !!document.activeElement.closest("#verbs")), false);
  await screen.close();
});

test("sound, notification, title and icon belong to a pop and go with it; a notification has no name", async () => {
  const screen = await desk({ init: () => {
    window.notes = [];
    window.Notification = class { static permission = "granted"; constructor(title, more) { window.notes.push({ title, ...more, open: true }); this.at = window.notes.length - 1; } close() { window.notes[this.at].open = false; } };
    document.hasFocus = () => false;
  } });
  const icon = () => screen.page.getAttribute("link[rel=icon]", "href");
  const plain = await icon();
  screen.say("pop", pop(w, filled(w)));
  await screen.is("ringing");
  await screen.until(() => document.getElementById("desk").dataset.rings === "yes");
  assert.equal(await screen.page.title(), `Ringing – ${w.line}`);
  assert.notEqual(await icon(), plain);
  const [note] = await screen.page.evaluate(() => window.notes);
  assert.deepEqual([note.title, note.body, note.tag, note.open], [`Ringing · ${w.line}`, "138 •••• 8000", `${CALL}-1`, true]);
  screen.say("pop.updated", pop(w, filled(w, { tickets: false })));
  screen.say("call.changed", talking());
  await screen.is("talking");
  await screen.until(() => document.getElementById("desk").dataset.rings === "no" && document.title === "Linecard");
  assert.equal(await icon(), plain);
  assert.deepEqual((await screen.page.evaluate(() => window.notes)).map((n) => n.open), [false], "one pop, one notification");
  await screen.close();
});

test("settings say in words why something cannot be", async () => {
  const screen = await desk({ init: () => { window.Notification = class { static permission = "denied"; }; } });
  await screen.page.click("#help");
  await screen.until(() => document.getElementById("settings-list").textContent.includes("The browser blocks them for this page"));
  await screen.page.selectOption('[data-key="set language"]', "zh-CN");
  await screen.until(() => document.documentElement.lang === "zh-CN" && document.getElementById("settings-list").textContent.includes("浏览器拦住了本页的通知"));
  await screen.page.selectOption('[data-key="set theme"]', "dark");
  assert.equal(await screen.page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await screen.shot("18-settings-zh");
  assert.deepEqual(await screen.axe(), []);
  await screen.close();
});
