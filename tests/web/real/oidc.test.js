// Signing in at the console by a real identity provider (Glewlwyd of Debian 12) in a real browser: the provider's own page asks for name and password, and what comes
// back decides who is there. One after the other: the provider loses answers when it signs several people in at once (tests/real_oauth2.rs).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { launch, Screen } from "../console/hands.js";
import { program, until } from "../console/site.js";

/** Where the provider sends people back to: its client `console` says so (tests/servers/oauth2). */
const url = "http://127.0.0.1:18766";
let browser, daemon, folder;

before(async () => {
  const { OAUTH2_URL: provider, OAUTH2_SECRET: secret } = process.env;
  if (!provider || !secret) throw new Error("OAUTH2_URL and OAUTH2_SECRET are not set: source oauth2.env, or use tests/run");
  folder = mkdtempSync(join(tmpdir(), "linecard-oidc-"));
  writeFileSync(join(folder, "secret"), secret, { mode: 0o600 });
  writeFileSync(join(folder, "tokens"), "a shared secret of 32 bytes at least", { mode: 0o600 });
  writeFileSync(join(folder, "linecard.yaml"), `
agents: {listen: 127.0.0.1:18080, tokens: {issuer: tests, keys: {hs256: {file: ${folder}/tokens}}}}
admin: {listen: 127.0.0.1:18090}
store: {path: ${folder}/linecard.db}
console:
  listen: 127.0.0.1:18766
  public_url: ${url}
  oidc:
    issuer: ${provider}/api/sso
    client_id: console
    client_secret: {file: ${folder}/secret}
    client_auth: body
    scopes: [openid]
    name_claim: email
    roles_claim: email
    roles: {admin: [nobody@example.com], supervisor: [boss@example.com]}
`);
  const log = openSync(join(folder, "log"), "a");
  daemon = spawn(program, ["run", "--config", folder], { stdio: ["ignore", log, log] });
  daemon.once("exit", (code) => { daemon.ended = code ?? -1; });
  const said = () => readFileSync(join(folder, "log"), "utf8");
  await until(async () => {
    if (daemon.ended !== undefined) throw new Error(`the daemon ended with ${daemon.ended}: ${said()}`);
    return fetch(`${url}/v1/session`).then((answer) => answer.ok, () => false);
  }, Boolean, "a console that answers");
  browser = await launch();
});
afterEach(() => Promise.all((browser?.contexts() ?? []).map((context) => context.close())));
after(async () => {
  await browser?.close();
  if (daemon && daemon.ended === undefined) {
    const ended = new Promise((done) => { daemon.once("exit", done); });
    daemon.kill("SIGTERM");
    await ended;
  }
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** At the console's door, and through it to the provider. The addresses on which the provider sends people back are kept. */
async function begins(lang = "en") {
  const screen = await Screen.open(browser, url, { lang }), { page } = screen, backs = [];
  page.on("request", (request) => { if (request.url().startsWith(`${url}/admin/oidc/back`)) backs.push(request.url()); });
  await page.waitForSelector("#door-of");
  assert.equal(await page.locator("#password").count(), 0, "there is no account of ours, so no field for one");
  return { screen, page, backs };
}
async function through(page) {
  await page.click('a[href="/admin/oidc"]');
  await page.waitForURL(`${process.env.OAUTH2_URL}/login.html*`);
}
/** As somebody does it at the provider's page. */
async function signs(page, name, password) {
  await page.fill("#username", name);
  await page.fill("#password", password);
  await page.click("#loginbut");
  await page.getByRole("button", { name: "Continue" }).click();
}
/** Who the console says is there, asked by this browser. */
const session = (page) => page.evaluate(async () => (await fetch("/v1/session")).json());
/** What the door says to somebody who came back and is not inside. */
const turned = async (page) => { await page.waitForURL(`${url}/admin`); return page.locator("#door-turned").innerText(); };

test("somebody signs in at the provider's page, comes back with the role that the claim gives, and signs out", async () => {
  for (const [lang, door, role, out] of [["en", "company account", "Supervisor", "Sign out"], ["zh-CN", "公司账号", "主管", "退出"]]) {
    const { screen, page, backs } = await begins(lang);
    assert.match(await page.textContent('a[href="/admin/oidc"]'), new RegExp(door));
    await screen.shot(`oidc-door-light-${lang}`);
    await through(page);
    await signs(page, "boss", "boss-pass-1");
    await page.waitForSelector("#shell");
    assert.equal(new URL(page.url()).pathname, "/admin");
    const { who, role: held, rights } = await session(page);
    assert.deepEqual([who, held], ["boss@example.com", "supervisor"]);
    assert.ok(rights.includes("work") && !rights.includes("change"), rights);
    await page.locator("#shell", { hasText: role }).waitFor();
    assert.deepEqual(await page.locator("nav a[href='#/settings'], nav a[href='#/audit']").count(), 0, "a supervisor's pages");
    await screen.shot(`oidc-inside-light-${lang}`);
    assert.deepEqual(await screen.axe(), []);

    // The way back was used once; again it leads nowhere, and takes nothing away from who is inside.
    assert.equal(backs.length, 1, backs.join(" "));
    await page.goto(backs[0]);
    await page.waitForURL(`${url}/admin`);
    await page.locator("#shell", { hasText: lang === "en" ? "not begun in this browser" : "不是在这个浏览器里开始的" }).waitFor();
    await page.reload();
    await page.waitForSelector("#shell");
    assert.doesNotMatch(await page.innerText("#shell"), /not begun in this browser|不是在这个浏览器里开始的/, "it is said once");

    await page.click(`[aria-label="${out}"]`);
    await page.waitForSelector("#door-of");
    assert.equal((await session(page)).who, null);
    await page.reload();
    await page.waitForSelector("#door-of");
    assert.deepEqual(screen.complaints, []);
  }
});

test("who has no role is told so, and is not inside", async () => {
  for (const [lang, says] of [["en", /guest@example\.com has no role here: nothing in the claim “email”/], ["zh-CN", /guest@example\.com在这里没有角色：声明“email”里/]]) {
    const { screen, page } = await begins(lang);
    await through(page);
    await signs(page, "guest", "guest-pass-1");
    assert.match(await turned(page), says);
    assert.equal((await session(page)).who, null);
    await screen.shot(`oidc-turned-away-light-${lang}`);
    assert.deepEqual(await screen.axe(), []);
    await page.reload();
    await page.waitForSelector("#door-of");
    assert.equal(await page.locator("#door-turned").count(), 0, "it is said once");
  }
});

test("a way back that this browser did not begin signs nobody in", async () => {
  const mine = await begins();
  await through(mine.page);
  // A state that nobody gave, beside the one that this browser has.
  await mine.page.goto(`${url}/admin/oidc/back?code=whatever&state=forged`);
  assert.match(await turned(mine.page), /not begun in this browser/);

  // A real code and a real state, sent to somebody else before they are used: his browser did not begin it.
  await through(mine.page);
  const held = new Promise((found, bad) => mine.page.route((asked) => asked.href.startsWith(`${process.env.OAUTH2_URL}/api/sso/auth`), async (route) => {
    // As the provider answers, but that the browser does not follow.
    const answer = await route.fetch({ maxRedirects: 0 });
    await route.fulfill({ body: "held back" });
    found(answer.headers().location);
  }).catch(bad));
  await signs(mine.page, "boss", "boss-pass-1");
  const address = await held;
  assert.ok(address.startsWith(`${url}/admin/oidc/back?`) && /[?&]code=/.test(address), address);
  const other = await begins();
  await other.page.goto(address);
  assert.match(await turned(other.page), /not begun in this browser/);
  assert.equal((await session(other.page)).who, null);

  // Where it was begun it is good.
  await mine.page.goto(address);
  await mine.page.waitForSelector("#shell");
});
