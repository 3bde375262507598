// The whole way: the demo's switch rings, the demo's systems answer, the daemon tells, a browser draws.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { demo, launch, Screen } from "./hands.js";

let browser, play;
before(async () => { browser = await launch(); play = await demo("--by-hand"); });
after(async () => { await browser?.close(); await play?.stop(); });

// When a pop's frame came, and when it was painted.
const watch = () => {
  window.pops = [];
  const Plain = window.WebSocket;
  window.WebSocket = class extends Plain {
    constructor(...all) {
      super(...all);
      this.addEventListener("message", ({ data }) => {
        if (!data.includes('"type":"pop"')) return;
        const came = performance.now();
        requestAnimationFrame(() => requestAnimationFrame(() => window.pops.push(performance.now() - came)));
      });
    }
  };
};
const open = (agent, more = {}) => Screen.open(browser, { url: play.url, token: play.tokens[agent], mine: false, ...more });

test("a pop appears, fills, and is there again after a reload, without being announced twice", async () => {
  const screen = await open("1001", { init: watch });
  await screen.is("idle");
  await screen.page.evaluate(() => { window.shifts.length = 0; });
  play.say("call answered 13800138000 1001");
  await screen.is("ringing");
  assert.equal(await screen.page.textContent("#number"), "13800138000");
  await screen.until(() => document.getElementById("name").textContent === "陈静" && !document.querySelector(".block.pending"));
  assert.ok((await screen.page.textContent(".figures")).includes("¥12,860.50"));
  await screen.shot("20-demo-ringing");
  await screen.is("talking");
  assert.deepEqual(await screen.page.evaluate(() => window.shifts), []);
  assert.deepEqual(await screen.axe(), []);
  const [painted] = await screen.page.evaluate(() => window.pops);
  console.log(`a pop of the demo: painted ${painted.toFixed(1)} ms after its frame`);
  await screen.page.reload();
  await screen.is("talking");
  assert.equal(await screen.page.textContent("#name"), "陈静");
  assert.equal(await screen.page.textContent("#alert"), "");
  await screen.is("wrapup");
  await screen.page.fill("#notes", "Asked for the invoice of June.");
  await screen.page.fill("#outcome", "billing");
  await screen.page.keyboard.press("ArrowDown");
  await screen.page.keyboard.press("Enter");
  await screen.page.check("#ticket");
  await screen.page.keyboard.press("Control+Enter");
  await screen.is("idle");
  assert.deepEqual(screen.complaints, []);
  await screen.close();
});

test("at rest: the agent's queue with its notice, and what a customer answered to the survey", async () => {
  const screen = await open("1002");
  await screen.is("idle");
  await screen.until(() => document.getElementById("number").textContent === "Nobody waiting" && document.querySelector(".queue .notice")?.textContent.includes("offer a call back"));
  await screen.until(() => document.getElementById("path").textContent.includes("CSATnone"));
  play.say("call answered 13912345678 1002");
  await screen.is("wrapup");
  await screen.page.keyboard.press("Control+Enter");
  await screen.is("idle");
  // The demo's customers answer some seconds after they were asked.
  await screen.until(() => /CSAT(0|100)% \(1\)/.test(document.getElementById("path").textContent));
  await screen.shot("21-demo-idle-1440-light-en");
  assert.deepEqual(screen.complaints, []);
  await screen.close();
});

test("what the agent does by hand for a call is counted among the figures", async () => {
  const screen = await open("1003"), { page } = screen;
  const call = async () => {
    play.say("call answered 13800138000 1003");
    await screen.is("talking");
    await screen.until(() => !document.querySelector(".block.pending"));
  };
  const over = async () => { await screen.is("wrapup"); await page.keyboard.press("Control+Enter"); await screen.is("idle"); };
  await screen.is("idle");
  await call();
  await screen.is("wrapup");
  await page.check("#ticket");
  await over();
  // Its ticket has a page. It is looked for until it is there: without a call on the strip nothing is counted.
  await page.keyboard.press("Control+k");
  await page.fill("#query", "陈静");
  await page.waitForFunction(() => {
    const there = document.querySelector("#results a[target=_blank]");
    if (!there) document.getElementById("search-tickets").click();
    return there;
  }, undefined, { polling: 300 });
  await page.keyboard.press("Escape");
  await call();
  const copy = (selector) => page.evaluate((selector) => { getSelection().selectAllChildren(document.querySelector(selector)); document.execCommand("copy"); }, selector);
  await copy("#name");
  await copy("#number");
  const [tab] = await Promise.all([screen.context.waitForEvent("page"), page.click(".block a[target=_blank]")]);
  await tab.close();
  await page.keyboard.press("Control+k");
  await page.fill("#query", "Mary");
  await page.click("#search");
  await screen.until(() => document.querySelector("#results").children.length > 0);
  await page.keyboard.press("Escape");
  await over();
  const { whole } = JSON.parse(play.tell("kpis", "--agent", "1003", "--json"));
  assert.deepEqual(whole.find(({ figure }) => figure === "manual_operations").parts, { "number-copied": 1, "record-opened": 1, "search-typed": 1, "ticket-outside": 0 });
  assert.deepEqual(screen.complaints, []);
  await screen.close();
});

test("one agent, two tabs: one of them is active, the other offers to take over", async () => {
  const one = await open("1002"), two = await open("1002");
  await two.is("idle");
  await one.is("elsewhere");
  play.say("call answered 13900139000 1002");
  await two.is("ringing");
  assert.equal(await one.page.textContent("#number"), "");
  await one.page.click("#here");
  await one.until(() => ["ringing", "talking"].includes(document.getElementById("desk").dataset.is));
  await two.is("elsewhere");
  await two.shot("21-elsewhere");
  await one.close();
  await two.close();
});

test("a system that is down leaves its bars, then says why; what comes late fills its own place", async () => {
  play.say("orders refuses");
  play.say("loyalty slow 700");
  const screen = await open("1003");
  await screen.is("idle");
  play.say("call answered 02161230001 1003");
  await screen.is("ringing");
  const look = () => screen.page.evaluate(() => Object.fromEntries([...document.querySelectorAll(".block")].map((b) => [b.getAttribute("aria-label"), b.classList[1]])));
  await screen.until(() => document.getElementById("name").textContent === "Mary Jones" && document.querySelector(".block.unavailable"));
  const first = await look();
  assert.equal(first.Orders, "unavailable");
  await screen.until(() => !document.querySelector(".block.pending"));
  const last = await look();
  assert.equal(last.Loyalty, "fresh");
  assert.deepEqual(Object.keys(last), Object.keys(first), "what comes late comes into its own place");
  await screen.shot("22-one-system-down");
  play.say("orders well");
  play.say("loyalty well");
  await screen.close();
});

test("the first paint of a pop after its frame, the median of 20", async () => {
  // Frames of the test's own: twenty calls of the demo would take ten minutes.
  const { CALL, agent, links, pop, filled, said } = await import("./frames.js"), w = said("zh-CN");
  const screen = await Screen.open(browser, { url: play.url, lang: "zh-CN" });
  await screen.welcome();
  screen.say("snapshot", { agent: agent("ready"), links: links(), calls: [] });
  await screen.is("idle");
  const times = [];
  for (let i = 0; i < 20; i += 1) {
    // From the frame's way into the page to the second frame that the browser draws after it.
    await screen.page.evaluate(() => {
      window.painted = new Promise((good) => {
        new MutationObserver((_, watches) => { if (document.getElementById("desk").dataset.is === "ringing") { watches.disconnect(); const drew = performance.now(); requestAnimationFrame(() => requestAnimationFrame(() => good(performance.now() - Math.min(drew, window.came ?? drew)))); } }).observe(document.getElementById("desk"), { attributes: true });
      });
      window.came = undefined;
      const parse = JSON.parse;
      JSON.parse = (text, ...more) => { if (String(text).includes('"type":"pop"')) { window.came ??= performance.now(); JSON.parse = parse; } return parse(text, ...more); };
    });
    screen.say("pop", pop(w, filled(w), { pop: `${CALL}-${i}` }));
    times.push(await screen.page.evaluate(() => window.painted));
    screen.say("pop.withdrawn", { pop: `${CALL}-${i}`, call: CALL, reason: "caller-gone" });
    await screen.is("gone");
  }
  times.sort((a, b) => a - b);
  const median = times[10];
  console.log(`a pop's first paint after its frame: median ${median.toFixed(1)} ms, worst ${times.at(-1).toFixed(1)} ms of 20`);
  // The goal is 50 ms. It is printed and not asserted: this machine is not the agent's, and may be busy.
  assert.ok(median > 0 && Number.isFinite(median));
  await screen.close();
});

test("the page weighs less than 150 KiB as it goes over the wire", async () => {
  const context = await browser.newContext(), page = await context.newPage(), sizes = [];
  page.on("response", (answer) => sizes.push(answer.request().sizes().then((s) => [answer.url(), s.responseBodySize + s.responseHeadersSize])));
  await page.goto(play.url, { waitUntil: "networkidle" });
  const all = await Promise.all(sizes), sum = all.reduce((n, [, size]) => n + size, 0);
  console.log(`the desk weighs ${(sum / 1024).toFixed(1)} KiB in ${all.length} files`);
  assert.ok(all.length > 5 && sum < 150 * 1024, `${sum} bytes`);
  await context.close();
});
