// The console against a real daemon in which some things are wrong (site.js), in a real browser.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { launch, Screen } from "./hands.js";
import { site, until } from "./site.js";

let browser, where;
before(async () => { browser = await launch(); where = await site(); await where.breaks(); });
after(async () => { await browser?.close(); await where?.stop(); });

async function console(options, name = "admin") {
  const screen = await Screen.open(browser, where.url, options);
  await screen.inside(name);
  return screen;
}
async function ends(screen) {
  assert.deepEqual(screen.complaints, []);
  await screen.close();
}
const cell = (row, column) => `[data-row="${row}"] [data-column="${column}"]`;
/** Applies what is typed; `why` for the history. */
async function applies({ page }, why) {
  await page.click("#apply:not([disabled])");
  await page.waitForSelector("#why .diff .plus");
  await page.fill("#why-text", why);
  await page.click("#why button.strong");
}

test("a wrong password is told and lets nobody in; signing out ends it", async () => {
  const screen = await Screen.open(browser, where.url), { page } = screen;
  await screen.enter("admin", "not-this-one");
  await page.waitForFunction(() => document.getElementById("door-says")?.textContent === "Name or password is wrong.");
  assert.equal(await page.textContent("#alert"), "Name or password is wrong.");
  assert.equal(await page.locator("#shell").count(), 0);
  await screen.inside();
  await page.click('[aria-label="Sign out"]');
  await page.waitForSelector("#password");
  await ends(screen);
});

test("a refusal is told in the reader's language, and one that the page does not know by its sentence", async () => {
  for (const [lang, wrong, wait, none, many, late] of [
    ["en", "Name or password is wrong.", /^Too many wrong passwords\. Try again in \d+ s\.$/, "There is no record of call 01ARZ3NDEKTSV4RRFFQ69G5FAV.", "by: “moon” cannot be meant. Choose again.", "Somebody else changed trunks.yaml since you read it. Read it again; your edits are still here."],
    ["zh-CN", "用户名或密码不对。", /^密码错得太多，\d+秒后再试。$/, "没有通话01ARZ3NDEKTSV4RRFFQ69G5FAV的记录。", "by：“moon”不成立，重新选择。", "读取之后，别人改过trunks.yaml。重新读取即可，这里的修改还在。"],
  ]) {
    const screen = await Screen.open(browser, where.url, { lang }), { page } = screen;
    const says = (text) => page.waitForFunction((t) => document.getElementById("door-says")?.textContent === t, text);
    await screen.enter("admin", "not-this-one");
    await says(wrong);
    // Whoever goes on guessing waits; by another name, so that the others still come in.
    for (let guess = 0, told = ""; !wait.test(told); guess++) {
      assert.ok(guess < 10, told);
      const answer = page.waitForResponse((a) => a.url().endsWith("/v1/session") && a.request().method() === "POST");
      await screen.enter(`guesser-${lang}`, `guess-${guess}`);
      await answer;
      await page.waitForSelector("#door-of button:not([disabled])");
      told = await page.textContent("#door-says") ?? "";
    }
    await screen.inside();
    await screen.at("records?row=01ARZ3NDEKTSV4RRFFQ69G5FAV");
    await page.locator("#panel-of p", { hasText: none }).waitFor();
    assert.deepEqual(await screen.axe(), []);
    await screen.shot(`refused-light-${lang}`);
    await screen.at("kpis?by=moon");
    await page.locator("main p", { hasText: many }).waitFor();
    const apply = { revision: "0", rows: [] };
    await page.route("**/v1/trunks/check", (route) => route.fulfill({ status: 418, json: { error: "a sentence of a later day", code: "of-a-later-day", values: {} } }));
    await screen.at("trunks");
    const told = await page.evaluate(async (body) => (await fetch("/v1/trunks/apply", { method: "POST", headers: { "X-Linecard": "1", "Content-Type": "application/json" }, body: JSON.stringify(body) })).json(), apply);
    assert.deepEqual([told.code, told.values], ["late", {}]);
    assert.equal(await page.evaluate(async (t) => (await import("/web/admin/parts.js")).refusal({ status: 409, message: t.error, ...t }), told), late);
    await page.fill(cell(0, "brand"), "Mine");
    await screen.told("a sentence of a later day");
    await ends(screen);
  }
});

test("what a role may not do is not drawn, and the daemon refuses it too", async () => {
  const pages = async (screen) => (await screen.page.locator("nav a").evaluateAll((all) => all.map((a) => a.getAttribute("href").slice(2))));
  const supervisor = await console({}, "supervisor");
  assert.ok(!(await pages(supervisor)).some((page) => ["audit", "settings"].includes(page)));
  await supervisor.at("trunks");
  assert.equal(await supervisor.page.locator("#apply, table.map input").count(), 0);
  const status = await supervisor.page.evaluate(async () => (await fetch("/v1/trunks/apply", { method: "POST", headers: { "X-Linecard": "1", "Content-Type": "application/json" }, body: JSON.stringify({ revision: "x", rows: [] }) })).status);
  assert.equal(status, 403);
  await ends(supervisor);
  const auditor = await console({}, "auditor");
  assert.ok((await pages(auditor)).includes("audit"));
  await auditor.at("undelivered?state=dead");
  assert.equal(await auditor.page.locator("main input[type=checkbox]").count(), 0);
  await auditor.page.click("td a");
  await auditor.page.waitForSelector("#panel-of .pairs-of");
  assert.equal(await auditor.page.locator("#panel-of button.strong, #panel-of button.danger").count(), 0);
  await ends(auditor);
});

test("a mapping is typed, told what is wrong at its place, tried, applied and taken back; the file keeps its remark", async () => {
  const screen = await console(), { page } = screen;
  await screen.at("trunks");
  const before = where.read("trunks.yaml");
  await page.fill(cell(0, "dialled"), "40080O1234");
  await page.waitForSelector(`${cell(0, "dialled")}[aria-invalid="true"]`);
  assert.match(await page.textContent(".beneath .fault"), /DID pattern.*not a number/);
  assert.ok(await page.isDisabled("#apply"));
  await page.fill(cell(0, "dialled"), "4008001234");
  await page.waitForFunction((c) => !document.querySelector(c).hasAttribute("aria-invalid"), cell(0, "dialled"));
  await page.fill(cell(1, "brand"), "Lanhai <img src=x onerror=alert(1)>");
  await page.waitForSelector("#apply:not([disabled])");
  assert.ok((await page.getAttribute("tr[data-row='1']", "class")).includes("edited"));
  await page.fill("[name=try-from]", "13800138000");
  await page.fill("[name=try-to]", "02161234567");
  await page.click("#panel-of form button.strong");
  await page.waitForSelector("tr[data-row='1'].matched");
  await page.waitForSelector(".ring-of");
  assert.match(await page.textContent("#panel-of"), /nothing is written/);
  assert.equal(where.read("trunks.yaml"), before);
  await applies(screen, "a brand for the direct line");
  await screen.told("applied");
  assert.match(where.read("trunks.yaml"), /# What the demo's dialled numbers mean\.[^]*Lanhai <img/);
  await page.click("#panel-of .sides button:nth-child(2)");
  await page.click("#panel-of .cards li:nth-child(2) button");
  await page.waitForSelector("#panel-of .diff .minus");
  await page.click("#panel-of .cards button.strong");
  await page.click("#why button.strong");
  await screen.told("Put back");
  assert.equal(where.read("trunks.yaml"), before);
  await ends(screen);
});

test("rows are moved and added by keyboard, and a table comes in from a spreadsheet", async () => {
  const screen = await console(), { page } = screen;
  await screen.at("trunks");
  const first = await page.inputValue(cell(0, "title")), second = await page.inputValue(cell(1, "title"));
  await page.focus(cell(0, "title"));
  await page.keyboard.press("Alt+ArrowDown");
  await page.waitForFunction(([c, text]) => document.querySelector(c).value === text && document.activeElement === document.querySelector(c), [cell(1, "title"), first]);
  assert.equal(await page.inputValue(cell(0, "title")), second);
  await page.setInputFiles("input[type=file]", { name: "t.csv", mimeType: "text/csv", buffer: Buffer.from("dialled,title\r\n02150001234,From a spreadsheet\r\n") });
  await screen.told("1 rows read");
  assert.equal(await page.inputValue(cell(0, "title")), "From a spreadsheet");
  await page.click("text=Discard");
  await page.click("#why button.strong");
  await screen.told("As it lies in the file");
  await ends(screen);
});

test("a file that was changed meanwhile is not written over, and the edits stay", async () => {
  const screen = await console(), { page } = screen;
  await screen.at("trunks");
  await page.fill(cell(0, "brand"), "Mine");
  await page.waitForSelector("#apply:not([disabled])");
  await page.click("#apply");
  await page.waitForSelector("#why .diff");
  const theirs = where.read("trunks.yaml").replace("title: Other lines", "title: Other lines of others");
  where.write("trunks.yaml", theirs);
  await page.click("#why button.strong");
  await page.waitForSelector(".behind");
  assert.equal(where.read("trunks.yaml"), theirs);
  assert.equal(await page.inputValue(cell(0, "brand")), "Mine");
  await page.click(".behind button.strong");
  await page.waitForFunction((c) => document.querySelector(c).value === "Other lines of others", cell(2, "title"));
  assert.equal(await page.inputValue(cell(0, "brand")), "Mine");
  await applies(screen, "");
  await screen.told("applied");
  assert.match(where.read("trunks.yaml"), /brand: "?Mine"?[^]*Other lines of others/);
  await ends(screen);
});

test("what is typed while a change is being applied stays", async () => {
  const screen = await console(), { page } = screen;
  await screen.at("trunks");
  const file = where.read("trunks.yaml");
  await page.fill(cell(0, "brand"), "Applied");
  let go;
  const typed = new Promise((done) => { go = done; }), asked = page.waitForRequest("**/v1/trunks/apply");
  await page.route("**/v1/trunks/apply", async (route) => { await typed; await route.continue(); });
  await applies(screen, "");
  await asked;
  await page.fill(cell(0, "queue_label"), "Typed meanwhile");
  go();
  await screen.told("applied");
  assert.match(where.read("trunks.yaml"), /brand: "?Applied/);
  assert.deepEqual([await page.inputValue(cell(0, "brand")), await page.inputValue(cell(0, "queue_label"))], ["Applied", "Typed meanwhile"]);
  assert.match(await page.textContent("#apply"), /1/);
  where.write("trunks.yaml", file);
  where.reload();
  await ends(screen);
});

test("a session that ends takes no edit along", async () => {
  const screen = await console(), { page } = screen;
  await screen.at("trunks");
  await page.fill(cell(0, "queue_label"), "Still here");
  await screen.context.clearCookies();
  await page.fill(cell(0, "language"), "en");
  await page.waitForSelector("#password");
  assert.match(await page.textContent("main"), /1 unsaved changes are still here/);
  await screen.inside();
  await page.waitForSelector(cell(0, "queue_label"));
  assert.equal(await page.inputValue(cell(0, "queue_label")), "Still here");
  await ends(screen);
});

test("what is old says so: a question that fails later is told beside what was there", async () => {
  const screen = await console(), { page } = screen;
  await screen.at("records");
  await page.waitForSelector("td a");
  await page.route("**/v1/records*", (route) => route.fulfill({ status: 503, contentType: "application/json", body: JSON.stringify({ error: "the disk is full", problems: [] }) }));
  await page.click("td a");
  await page.waitForFunction(() => document.querySelector("main")?.textContent?.includes("the disk is full"));
  assert.ok(await page.locator("td a").count() > 0);
  assert.deepEqual(await screen.axe(), []);
  await screen.shot("stale");
  await ends(screen);
});

test("who signs in after another finds nothing of theirs on the page", async () => {
  const screen = await console(), { page } = screen;
  await screen.at("records");
  await page.waitForSelector("td a");
  await page.click('[aria-label="Sign out"]');
  await page.waitForSelector("#password");
  // No answer comes: what stands there now was there before.
  await page.route("**/v1/records*", () => {});
  await screen.inside("supervisor");
  await page.waitForSelector('main[data-page="records"] .bars');
  assert.equal(await page.locator("td a").count(), 0);
  await ends(screen);
});

test("a canary is stopped with a reason and goes on", async () => {
  const screen = await console(), { page } = screen;
  await screen.at("connectors?row=orders-next");
  await page.click("#panel-of button.danger");
  await page.fill("#why-text", "the vendor called");
  await page.click("#why button.strong");
  await page.waitForSelector("#panel-of >> text=Stopped: the vendor called.");
  // It alerts too, by a name in the reader's language.
  await until(() => where.ask("/v1/alerts"), (all) => all.some((one) => one.alert === "canary-stopped" && one.subject === "orders-next"), "an alert");
  const other = await console({ lang: "zh-CN" });
  for (const [reader, name, lang] of [[screen, "A canary is stopped", "en"], [other, "灰度已停", "zh-CN"]]) {
    await reader.at("alerts");
    await reader.page.locator("td", { hasText: name }).waitFor();
    await reader.shot(`alert-light-${lang}`);
  }
  await ends(other);
  await screen.at("connectors?row=orders-next");
  await page.click("text=Let it go on");
  await page.waitForSelector("#panel-of button.danger");
  await ends(screen);
});

test("a link is probed by hand, and what cannot be asked has no button", async () => {
  for (const [lang, yes, none, away] of [["en", /^Answered after \d+ ms$/, "Nothing can be asked here", "Cannot connect to 192.0.2.10:5038: Connection refused."], ["zh-CN", /^\d+ ms后应答$/, "这里问不了", "连不上192.0.2.10:5038：Connection refused。"]]) {
    const screen = await console({ lang }), { page } = screen;
    await screen.at("links?row=pbx1+ami");
    await page.click("#panel-of section button");
    await page.locator("#panel-of .probed p", { hasText: "logged in as" }).first().waitFor();
    assert.match((await page.textContent("#panel-of .probed .dot")).trim(), yes);
    assert.match(await page.textContent("#status"), yes);
    assert.deepEqual(await screen.axe(), []);
    await screen.shot(`probed-light-${lang}`);
    // A switch that only sends copies; the demo has none.
    const links = await page.evaluate(async () => (await fetch("/v1/links")).json());
    await page.route("**/v1/links", (route) => route.fulfill({ json: [{ ...links[0], switch: "edge", feed: "hep", asks: false }] }));
    await screen.at("links?row=edge+hep");
    await page.locator("#panel-of", { hasText: none }).waitFor();
    assert.equal(await page.locator("#panel-of section button").count(), 0);
    // One that is away says why in the reader's language.
    const down = { ...links[0], switch: "far", up: false, reason: "cannot connect to 192.0.2.10:5038: Connection refused", because: "unreachable", values: { at: "192.0.2.10:5038", why: "Connection refused" } };
    await page.unroute("**/v1/links");
    await page.route("**/v1/links", (route) => route.fulfill({ json: [down] }));
    await screen.at("links?row=far+ami");
    await page.locator("#panel-of", { hasText: away }).waitFor();
    await screen.shot(`link-away-light-${lang}`);
    await ends(screen);
  }
  const auditor = await console({}, "auditor");
  await auditor.at("links?row=pbx1+ami");
  await auditor.page.waitForSelector("#panel-of section");
  assert.equal(await auditor.page.locator("#panel-of section button").count(), 0);
  await ends(auditor);
});

test("why nothing pops for an agent stands in the row's panel, and a queue says who is in it", async () => {
  const screen = await console(), { page } = screen;
  await screen.at("agents?row=1003");
  await page.waitForSelector("#panel-of .obstacles li");
  assert.match(await page.textContent("#panel-of .obstacles"), /no page.*No page of this agent is open/s);
  assert.match(await page.textContent("#panel-of"), /PhonesPJSIP\/1003(A call rings|This switch does not tell)/);
  await page.fill("[name=find]", "wang");
  await page.press("[name=find]", "Enter");
  await page.waitForFunction(() => document.querySelectorAll("main tbody tr").length === 1);
  assert.match(await page.textContent("main tbody tr"), /Agent Wang/);
  await screen.at("queues");
  await page.click("main td a >> text=support");
  await page.waitForSelector("#panel-of .cards li");
  assert.equal(await page.locator("#panel-of .cards li").count(), 3);
  await page.click("#panel-of .cards a >> nth=0");
  await page.waitForSelector('main[data-page="agents"]');
  await page.waitForSelector("#panel-title");
  await ends(screen);
});

test("axe finds nothing on any page, in both themes and languages; rows open by keyboard", async () => {
  const record = (await where.ask("/v1/records")).records[0].call, flow = (await where.ask("/v1/flows?all=true"))[0]?.id, effect = (await where.ask("/v1/undelivered?limit=1"))[0]?.key;
  for (const [theme, lang] of [["light", "en"], ["light", "zh-CN"], ["dark", "en"], ["dark", "zh-CN"]]) {
    const screen = await Screen.open(browser, where.url, { theme, lang }), { page } = screen;
    await page.waitForSelector("#password");
    assert.deepEqual(await screen.axe(), [], `door ${theme}`);
    await screen.shot(`door-${theme}-${lang}`);
    await screen.inside();
    for (const place of ["links?row=pbx1+ami", "agents?row=1001", "queues?row=support", "trunks", "connectors?row=loyalty", "undelivered?row=" + effect, "records?row=" + record, `flows?show=all&row=${flow}`, "alerts", "differences", "audit", "settings?from=set"]) {
      await screen.at(place);
      if (place.includes("row=") && !place.includes("undefined")) await page.waitForSelector("#panel-title");
      if (place === "trunks") {
        await page.fill(cell(1, "dialled"), "0216l234567");
        await page.waitForSelector(".beneath .fault");
        assert.match(await page.textContent(".beneath .fault"), lang === "en" ? /not a number that can be dialled/ : /这不是可以拨打的号码/);
        await page.waitForFunction(() => /\d/.test(document.querySelector("[data-row='0'] .digits")?.textContent ?? ""));
      }
      assert.deepEqual(await screen.axe(), [], `${place} ${theme} ${lang}`);
      await screen.shot(`${place.split("?")[0]}-${theme}-${lang}`);
    }
    await screen.at("audit");
    await page.focus("td a");
    await page.keyboard.press("Enter");
    await page.waitForFunction(() => document.activeElement?.id === "panel-title");
    await page.keyboard.press("Escape");
    await page.waitForFunction(() => !document.getElementById("panel-of") && document.activeElement?.matches("td a"));
    await ends(screen);
  }
});

test("on narrower screens nothing lies beyond the edge, and the map's hands stay in sight", async () => {
  for (const width of [1280, 1024]) {
    const screen = await console({ width, height: 800 }), { page } = screen;
    const record = (await where.ask("/v1/records")).records[0].call;
    for (const place of ["links?row=pbx1+ami", "agents?row=1001", "queues?row=support", "trunks", "connectors?row=erp-next", "undelivered", `records?row=${record}`, "flows?show=all", "alerts", "differences", "audit?what=trunks.*", "settings?from=set"]) {
      await screen.at(place);
      await screen.shot(`${place.split("?")[0]}-${width}`);
      const beyond = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll("main, #panel-of")].filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => `${one.tagName} ${one.scrollWidth} > ${one.clientWidth}`));
      assert.deepEqual(beyond, [], `${place} at ${width}`);
    }
    await screen.at("trunks");
    await page.click("text=All columns");
    const hand = await page.locator("[data-row='0'] [data-column='remove']").evaluate((button) => { const { left, right, top } = button.getBoundingClientRect(); return document.elementFromPoint((left + right) / 2, top + 4)?.closest("button") === button; });
    assert.ok(hand, `at ${width}`);
    await screen.shot(`trunks-all-columns-${width}`);
    await ends(screen);
  }
});

test("a system is tried from its panel, and a shadow's differences are told by field", async () => {
  const screen = await console(), { page } = screen;
  await screen.at("connectors?row=erp");
  await page.selectOption("[name=operation]", "customer.by_phone");
  await page.fill("[name=input-number]", "13800138000");
  await page.click("form.trial button");
  await page.waitForSelector(".tried li");
  const told = await page.textContent("#panel-of");
  assert.match(told, /GET http.*customers\?phone=/s);
  assert.match(told, /Record 1: taken/);
  assert.ok(!/王|Wang Fang|Lanhai/.test(told), told);
  await screen.shot("connectors-tried");
  assert.equal((await where.ask("/v1/audit?what=connector.tried&limit=1"))[0].who, "admin");
  await screen.at("connectors?row=erp-next");
  await page.waitForSelector("#panel-of >> text=What differs");
  await screen.shot("connectors-shadow");
  await ends(screen);
  const supervisor = await console({}, "supervisor");
  await supervisor.at("connectors?row=erp");
  await supervisor.page.waitForSelector("#panel-title");
  assert.equal(await supervisor.page.locator("form.trial").count(), 0);
  await ends(supervisor);
});

test("the audit shows a change of the map before and after", async () => {
  const screen = await console(), { page } = screen;
  await screen.at("trunks");
  await page.fill(cell(0, "brand"), "Before <b>and</b> after");
  await applies(screen, "for the audit");
  await screen.told("applied");
  await screen.at("audit?what=trunks.applied");
  await page.click("main td a >> nth=0");
  await page.waitForSelector("#panel-of .is");
  assert.equal(await page.textContent("#panel-of .is"), "Before <b>and</b> after");
  await screen.shot("audit-change");
  await ends(screen);
});

test("a dead letter is tried again and delivered, another one is dropped with a reason", async () => {
  const dead = await until(() => where.ask("/v1/undelivered?state=dead"), (all) => all.length > 1, "two dead letters");
  const screen = await console(), { page } = screen;
  where.refused.refuses = false;
  await screen.at(`undelivered?row=${dead[0].key}`);
  await page.click("#panel-of button.strong");
  await screen.told("1 will be tried again.");
  await until(() => where.ask(`/v1/undelivered/${dead[0].key}`), (one) => one.state === "done", "a delivery");
  await screen.at("undelivered?state=dead");
  await page.check(`tr:has(a[href*="${dead[1].key}"]) input[type=checkbox]`);
  await page.click(".top button.danger");
  await page.fill("#why-text", "done by hand");
  await page.click("#why button.strong");
  await screen.told("1 dropped.");
  assert.equal((await where.ask(`/v1/undelivered/${dead[1].key}`)).state, "dropped");
  where.refused.refuses = true;
  await ends(screen);
});
