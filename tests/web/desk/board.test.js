// The board in the browser: every look in both languages and themes, what is over its limit in words, how old it is, what can be done with an agent, and that strangers' words stay words.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { agent, links } from "./frames.js";
import { launch, Screen } from "./hands.js";
import { site } from "./site.js";

let browser, url, stop;
before(async () => { browser = await launch(); ({ url, stop } = await site()); });
after(async () => { await browser?.close(); await stop?.(); });

const ago = (s) => new Date(Date.now() - s * 1000).toISOString();
const nobody = { ready: 0, busy: 0, after_call: 0, not_ready: 0, away: 0 };
const limits = { waiting: 5, longest_s: 60, service_level: 80, abandonment: 5 };
const hour = (hour, offered, in_time, abandoned) => ({ hour, offered, answered: offered - abandoned, in_time, abandoned });
const empty = { queues: [], agents: nobody, calls: { waiting: 0, talking: 0, otherwise: 0 }, hours: [], alerts: [], limits, complete: true };
const good = {
  ...empty, agents: { ready: 4, busy: 9, after_call: 2, not_ready: 3, away: 5 }, hours: [hour(8, 12, 11, 0), hour(9, 41, 38, 1), hour(11, 62, 58, 2)],
  queues: [{ queue: "support", label: "售后 Support", waiting: 1, longest_since: ago(12), members: 6, ready: 2, offered: 214, answered: 201, in_time: 201, abandoned: 6, in_time_s: 20 },
    { queue: "presales", waiting: 0, offered: 0, answered: 0, in_time: 0, abandoned: 0, in_time_s: 20 }],
};
const bad = {
  ...good, complete: false, agents: { ...good.agents, ready: 0 }, alerts: [{ alert: "error-rate", title: { en: "Too many questions fail", zh: "出错过多" }, subject: "erp customer.search" }, { alert: "of-a-day-before-titles", subject: "pbx1" }],
  queues: [{ ...good.queues[0], waiting: 7, longest_since: ago(93), ready: 0, in_time: 150, abandoned: 13 }, good.queues[1]],
};
const member = (id, name, state, more = {}) => ({ agent: id, name, state, since: ago(75), here: true, actions: ["agent.state"], ...more });
const call = { call: "01KAXS2V7R8Q4H0N5T3M1B6C9D", leg: "talking", role: "inbound", queue: "售后", number: { display: "138****8000", class: "mobile", masked: true }, name: "张伟" };
const crew = [
  member("1001", "陈静", "ready"), member("1002", "Olivia-Charlotte van der Meulen", "busy", { call, actions: ["call.listen", "call.whisper", "agent.state"] }), member("1003", "李强", "busy", { call: { ...call, leg: "ringing" } }),
  member("1004", "赵敏", "working-after-call"), member("1005", "孙丽", "not-ready", { reason: "lunch", overrun: true }), member("1006", "周杰", "ready", { here: false }), member("1007", "吴芳", "ready", { here: false, in_queue: true }),
];

async function look(board, { wall = false, list = crew, ...more } = {}) {
  const screen = await Screen.open(browser, { url: new URL(wall ? "/board?wall" : "/board", url).href, ...more });
  screen.answers = { "board.watch": {}, "team.list": { team: { agents: list.length, list } }, "call.whisper": {}, "agent.state": {} };
  await screen.welcome();
  screen.say("snapshot", { agent: agent("ready"), links: links(), calls: [] });
  await screen.hear("board.watch");
  screen.say("board.changed", board);
  await screen.page.waitForSelector(".tile");
  if (!wall && list.length) await screen.page.waitForSelector(".agent");
  return screen;
}

const looks = { good, bad, empty };
for (const [theme, lang] of [["light", "zh-CN"], ["dark", "en"], ["light", "en"], ["dark", "zh-CN"]]) {
  test(`every look, ${theme}, ${lang}`, async () => {
    const wrong = [];
    for (const [name, board] of Object.entries(looks)) for (const wall of [false, true]) {
      const screen = await look(board, { wall, theme, lang, list: name === "empty" ? [] : crew });
      for (const [width, height] of wall ? [[1920, 1080]] : [[1440, 900], [900, 900], [320, 800]]) {
        await screen.page.setViewportSize({ width, height });
        const which = `board-${name}${wall ? "-wall" : ""}-${width}`;
        await screen.shot(`${which}-${theme}-${lang}`);
        const seen = await screen.page.evaluate(() => ({
          sideways: document.documentElement.scrollWidth > innerWidth,
          scrolls: document.body.classList.contains("wall") && (document.body.scrollHeight > innerHeight || [...document.querySelectorAll(".tile")].some((e) => e.scrollHeight > e.clientHeight + 1 || e.scrollWidth > e.clientWidth + 1)),
        }));
        if (seen.sideways) wrong.push(`${which} scrolls sideways`);
        if (seen.scrolls) wrong.push(`${which} does not fit`);
        wrong.push(...(await screen.axe()).map((found) => `${which}: ${found}`));
      }
      wrong.push(...screen.complaints.map((said) => `${name}: ${said}`));
      await screen.close();
    }
    assert.deepEqual(wrong, []);
  });
}

test("what is over its limit says so in a word, and the wall has nobody's name", async () => {
  const screen = await look(bad);
  const words = await screen.page.$$eval(".tile", (tiles) => tiles.map((tile) => tile.innerText.split(/\n+/).slice(0, 3)));
  assert.deepEqual(words, [["Waiting", "Over", "7"], ["Longest wait", "Over", words[1][2]], ["Service level today", "Over", "70%"], ["Given up today", "Over", "6%"], ["Ready agents", "Over", "0"], ["Alerts", "Over", "2"]]);
  assert.deepEqual(await screen.page.$$eval("#alerts li", (all) => all.map((one) => [...one.childNodes].slice(1).map((part) => part.textContent))), [["Too many questions fail", "erp customer.search"], ["of-a-day-before-titles", "pbx1"]]);
  const zh = await look(bad, { lang: "zh-CN" });
  assert.deepEqual(await zh.page.$$eval("#alerts li b", (all) => all.map((one) => one.textContent)), ["出错过多", "of-a-day-before-titles"]);
  await zh.close();
  const groups = await screen.page.$$eval(".group", (all) => all.map((group) => group.querySelector("h3").innerText.replace(/\s+/g, " ")));
  assert.deepEqual(groups, ["Ready 2", "On a call 2", "Wrap-up 1", "Not ready 1", "Away 1"]);
  await screen.close();
  const wall = await look(bad, { wall: true });
  const said = await wall.page.evaluate(() => document.body.innerText);
  for (const name of [...crew.map((one) => one.name), "张伟", "138"]) assert.ok(!said.includes(name), name);
  const sizes = await wall.page.evaluate(() => Object.fromEntries([".big", ".label", ".verdict", ".bound", ".legend li", "#age"].map((of) => [of, parseFloat(getComputedStyle(document.querySelector(of)).fontSize) / innerWidth * 100])));
  assert.ok(sizes[".big"] >= 7.59 && sizes[".label"] >= 2.59 && Object.values(sizes).every((vw) => vw >= 2.09), JSON.stringify(sizes));
  await wall.close();
});

test("what is old says how old it is, and after half a minute nothing is true any more", async () => {
  const screen = await look(good, { init: () => { const now = Date.now.bind(Date); window.later = 0; Date.now = () => now() + window.later; } });
  for (const [later, is] of [[0, "fresh"], [7_000, "old"], [33_000, "dead"]]) {
    await screen.page.evaluate((ms) => { window.later = ms; }, later);
    await screen.until((is) => document.body.dataset.fresh === is, is);
  }
  assert.match(await screen.page.innerText("#age"), /^No news for 3\d s/);
  await screen.close();
});

test("what can be done with an agent says who will notice, by keys alone", async () => {
  const screen = await look(good);
  await screen.page.focus("[data-key='agent 1002']");
  await screen.page.keyboard.press("Enter");
  assert.deepEqual(await screen.page.$$eval("#menu button", (all) => all.map((b) => b.innerText.replace(/\s+/g, " "))), ["Listen nobody notices", "Whisper only the agent hears you", "Ready", "Not ready", "Logged off"]);
  await screen.page.keyboard.press("ArrowDown");
  await screen.page.keyboard.press("Enter");
  assert.equal((await screen.hear("call.whisper")).agent, "1002");
  assert.equal(await screen.page.evaluate(() => document.activeElement.dataset.key), "agent 1002");
  await screen.close();
});

test("whoever is no supervisor is told so", async () => {
  const screen = await Screen.open(browser, { url: new URL("/board", url).href });
  screen.answers = { "board.watch": { failed: { code: "not-permitted", message: "this agent is none of yours" } } };
  await screen.welcome();
  screen.say("snapshot", { agent: agent("ready"), links: links(), calls: [] });
  await screen.until(() => document.getElementById("age").innerText === "The board is for supervisors.");
  await screen.close();
});

test("strangers' words stay words", async () => {
  const evil = "<img src=x onerror=\"window.ran=1\"><script>window.ran=1</script>";
  const screen = await look({ ...bad, queues: [{ ...bad.queues[0], queue: evil, label: evil }], alerts: [{ alert: evil, title: { en: evil }, subject: evil }] }, { list: [member("1001", evil, "not-ready", { reason: evil }), member("1002", evil, "busy", { call: { ...call, queue: evil } })] });
  assert.deepEqual(await screen.page.evaluate(() => [window.ran, document.querySelectorAll("#board img, #board script").length]), [undefined, 0]);
  assert.deepEqual(screen.complaints, []);
  await screen.close();
});
