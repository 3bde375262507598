// The console's other pages in a browser: figures, flows, what strangers sent.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, Screen } from "./hands.js";
import { payloads } from "../desk/payloads.js";
import { site, until } from "./site.js";

let browser, where;
before(async () => {
  [browser, where] = await Promise.all([launch(), site()]);
  await until(() => where.ask("/v1/kpis"), (a) => a.whole.find((f) => f.figure === "service_level")?.n > 0, "an offered call");
});
after(async () => { await browser?.close(); await where?.stop(); });

async function console(options) {
  const screen = await Screen.open(browser, where.url, options);
  await screen.inside();
  return screen;
}
async function ends(screen) {
  assert.deepEqual(screen.complaints, []);
  await screen.close();
}

test("figures stand beside their definitions and the time before, and a curve is a table too", async () => {
  for (const [theme, lang, level, few] of [["light", "en", "Service level", "Too few cases"], ["dark", "zh-CN", "服务水平", "样本太少"]]) {
    const screen = await console({ theme, lang }), { page } = screen;
    await screen.at("kpis");
    const row = page.locator("tr", { has: page.getByRole("link", { name: level, exact: true }) });
    await row.locator("b", { hasText: "%" }).waitFor();
    assert.match(await row.textContent(), /20 (s|秒)/, "its definition");
    await page.selectOption("select[name=against]", "before");
    await row.getByText(few).waitFor();
    assert.equal(await row.locator("svg.pair-of").count(), 0, "of yesterday nothing is known: no scale to draw on");
    await page.getByRole("link", { name: lang === "en" ? "Calls" : "通话", exact: true }).click();
    // Something is drawn: the canvas is not empty.
    await page.waitForFunction(() => {
      const canvas = /** @type {HTMLCanvasElement | null} */ (document.querySelector("linecard-chart canvas")), of = canvas?.width && canvas.getContext("2d")?.getImageData(0, 0, canvas.width, canvas.height).data;
      return of && of.some((v, at) => at % 4 === 3 && v > 0);
    });
    assert.deepEqual(await screen.axe(), []);
    await screen.shot(`kpis-${theme}-${lang}`);
    await page.click("figure button");
    await page.waitForSelector("figure table tbody td");
    const calls = Number(await page.locator("#panel-of dd b").first().textContent());
    const sum = (await page.locator("figure tbody td:nth-child(2)").allTextContents()).reduce((all, n) => all + Number(n), 0);
    assert.equal(sum, calls, "the hours of the curve add up to the figure");
    await page.click("figure button");
    await page.selectOption("select[name=by]", "agent");
    await page.getByRole("link", { name: "1002", exact: true }).click();
    await page.waitForSelector("#panel-of section");
    await screen.shot(`kpis-agents-${theme}-${lang}`);
    const table = await page.evaluate(async (to) => (await fetch(to)).text(), await page.locator("a", { hasText: "CSV" }).getAttribute("href"));
    assert.match(table, /^[^\n]*agent[^\n]*\n[^]*service_level|^[^\n]*agent[^]*aht/m);
    await ends(screen);
  }
});

test("a task of a flow is taken, told and over; another flow is stopped with a reason", async () => {
  // A ticket is made, the team cannot be told, and the ticket cannot be closed again: that is for a person.
  const missed = where.read("flows/missed-call.yaml").replace("call.wait_ms > 5000", "call.wait_ms > 100").replace("      may_fail: true\n", "");
  where.write("flows/missed-call.yaml", missed);
  where.write("flows/asked-first.yaml", missed.replace("flow: missed-call", "flow: asked-first").replace("steps:\n", "steps:\n  - approval:\n      name: agree\n      title: {en: A supervisor agrees}\n      roles: [{role: supervisor}]\n      within_ms: 14400000\n"));
  where.write("connectors/desk.yaml", where.read("connectors/desk.yaml").replace(where.desk, where.refused.url));
  where.refused.refuses = (asked) => asked.method === "PUT" || asked.url === "/api/notices";
  where.reload();
  const of = (name) => until(() => where.ask("/v1/flows"), (all) => all.some((one) => one.flow.name === name && ["person", "approval"].includes(one.flow.state)), name).then((all) => all.find((one) => one.flow.name === name).id);
  const [first, second] = [await of("missed-call"), await of("asked-first")], screen = await console(), { page } = screen;
  await screen.at("flows?show=person");
  await page.click(`a[href*="${first}"]`);
  await page.getByRole("button", { name: "It is mine" }).click();
  await page.locator("#panel-of dd", { hasText: "admin" }).waitFor();
  assert.equal(await page.getByRole("button", { name: "It is mine" }).count(), 0);
  assert.equal(await page.locator("#panel-of button.danger").count(), 0, "it is being taken back already");
  await screen.shot("flow-task-light-en");
  where.refused.refuses = (asked) => asked.url === "/api/notices";
  await page.getByRole("button", { name: "Try it again", exact: true }).click();
  await page.fill("#why-text", "the desk is open again");
  await page.click("#why button.strong");
  await until(() => where.ask(`/v1/flows/${first}`), (one) => one.flow.state === "undone", "the ticket closed");
  await screen.at(`flows?show=all&row=${second}`);
  await page.click("#panel-of button.danger");
  await page.fill("#why-text", "called back already");
  await page.click("#why button.strong");
  await until(() => where.ask(`/v1/flows/${second}`), (one) => one.flow.state === "undone", "a stop");
  await until(() => where.ask("/v1/audit?about=" + second), (rows) => rows.some((row) => row.who === "admin" && row.what === "flow.stop" && row.reason === "done"), "who stopped it");
  await ends(screen);
});

test(`${payloads.length} payloads in every text of every answer are text`, async () => {
  const screen = await console(), { page } = screen, elsewhere = [];
  await page.route(/127\.0\.0\.1:1\//, (route) => { elsewhere.push(route.request().url()); return route.abort(); });
  let payload = payloads[0];
  /** Whatever stands in an answer is a stranger's, but for what the page is led by: words, ids and times. */
  const led = /^(id|call|key|row|kind|state|what|figure|unit|verdict|sign|rights|role|ways|at|since|until|from|to|by|direction|outcome|system|switch|flow|task|zone|line|level)$/;
  const soaked = (value, name = "") => (typeof value === "string" ? (led.test(name) || /^\d{4}-\d\d-\d\dT/.test(value) ? value : `${value}${payload}`)
    : Array.isArray(value) ? value.map((one) => soaked(one, name)) : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).map(([key, one]) => [key, soaked(one, key)])) : value);
  await page.route(/\/v1\/(?!session|overview)/, async (route) => {
    const answer = await route.fetch();
    if (!answer.headers()["content-type"]?.includes("json")) return route.fulfill({ response: answer });
    await route.fulfill({ response: answer, json: soaked(await answer.json()) });
  });
  const record = (await where.ask("/v1/records")).records[0].call, flow = (await where.ask("/v1/flows?all=true"))[0].id;
  const places = ["links?row=pbx1+ami", "trunks", "connectors?row=desk", "undelivered", `records?row=${record}`, `flows?show=all&row=${flow}`, "kpis?row=calls", "kpis?by=agent", "alerts", "differences?show=all", "audit", "settings"];
  // These show texts of every answer; what a page kept of the visit before has another payload.
  const show = /^(connectors|records|flows|kpis|audit|settings)\b/;
  let soiled = 0;
  for (const [turn, one] of payloads.entries()) {
    payload = one;
    // Every page meets the first payloads, and every payload some pages.
    for (const place of turn < 2 ? places : [places[turn % places.length], places[(turn + 5) % places.length]]) {
      await screen.at(place === "alerts" ? "audit" : "alerts");
      await screen.at(place).catch((late) => { throw new Error(`${place} ${one}: ${screen.complaints}`, { cause: late }); });
      if (show.test(place)) await page.waitForFunction((text) => document.body.textContent?.includes(text), one).catch((late) => { throw new Error(`${place} does not show ${one}`, { cause: late }); });
      const seen = await page.evaluate((text) => ({
        links: [...document.querySelectorAll("#console a[href]")].map((a) => a.getAttribute("href") ?? "").filter((href) => !/^(#\/|\/v1\/|https?:)/.test(href)),
        strangers: [...document.querySelectorAll("#console *")].filter((e) => /^(script|img|iframe|object|embed|video|style|link|base|meta|body|math|template|x)$/i.test(e.tagName)).map((e) => e.outerHTML),
        handlers: [...document.querySelectorAll("#console *")].flatMap((e) => [...e.attributes].filter((a) => a.name.startsWith("on")).map((a) => `${e.tagName} ${a.name}`)),
        ran: /** @type {any} */ (window).ran,
        there: document.body.textContent?.includes(text),
      }), one);
      assert.deepEqual({ ...seen, there: 0 }, { links: [], strangers: [], handlers: [], ran: undefined, there: 0 }, `${place} ${one}`);
      if (seen.there) soiled++;
    }
  }
  assert.ok(soiled > payloads.length, `the payloads were on ${soiled} pages`);
  await page.unrouteAll({ behavior: "ignoreErrors" });
  assert.deepEqual(elsewhere, []);
  await ends(screen);
});
