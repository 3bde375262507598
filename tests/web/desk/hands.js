// What the desk's tests share: a browser, the demo's daemon, a page whose socket the test holds, pictures, axe.
import { execFileSync, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const root = resolve(fileURLToPath(import.meta.url), "../../../..");
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Where pictures go; none are made without it. */
export const shots = process.env.LINECARD_SHOTS;
/** For whoever works on the pages: they come from the checkout, not from the binary, and no build is needed. */
const checkout = process.env.LINECARD_WEB === "checkout";

export const text = (path) => readFileSync(join(root, path), "utf8");

export const launch = () => chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-features=LocalNetworkAccessChecks", "--lang=en-US"],
});

/** `linecard demo` on a folder of its own, on whatever ports are free. Its words are lines for its standard input. */
export async function demo(...words) {
  const program = process.env.LINECARD_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "release/linecard");
  const folder = mkdtempSync(join(tmpdir(), "linecard-desk-"));
  const child = spawn(program, ["demo", "--data", folder, ...words], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((done) => child.once("exit", done));
  const found = { tokens: {} };
  const ready = new Promise((good, bad) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const page = /agents' page\s+(http\S+)/.exec(line), token = /^\s+(\d{4})\s+(\S+)$/.exec(line);
      if (page) found.url = page[1];
      if (token) found.tokens[token[1]] = token[2];
      if (line.startsWith("Ctrl-C")) good();
    });
    ended.then((code) => bad(new Error(`the demo ended with ${code}`)));
  });
  await ready;
  return {
    ...found,
    /** What the daemon's own program says of the demo's settings and records. */
    tell: (...verb) => execFileSync(program, [...verb, "--config", join(folder, "config")], { encoding: "utf8" }),
    say: (line) => child.stdin.write(`${line}\n`),
    stop: async () => { child.kill("SIGINT"); await ended; rmSync(folder, { recursive: true, force: true }); },
  };
}

const mimes = { html: "text/html; charset=utf-8", css: "text/css; charset=utf-8", js: "text/javascript; charset=utf-8" };

/** One desk in the browser. `socket: "mine"`: the test is the daemon, and says frames that the page cannot tell from real ones. */
export class Screen {
  complaints = []; seq = 0; #heard = []; #waits = []; #ways = []; answers = {};

  static async open(browser, { url = "http://127.0.0.1:8080/", width = 1440, height = 820, theme = "light", lang = "en", token = "a.b.c", mine = true, context = {}, beside, init } = {}) {
    const screen = new Screen();
    // Beside another: a second tab of the same browser.
    screen.context = beside?.context ?? await browser.newContext({ viewport: { width, height }, locale: lang === "en" ? "en-US" : lang, colorScheme: theme, timezoneId: "Asia/Shanghai", ...context });
    screen.page = await screen.context.newPage();
    const { page } = screen;
    page.on("pageerror", (error) => screen.complaints.push(String(error)));
    page.on("console", (said) => { if (said.type() === "error") screen.complaints.push(said.text()); });
    page.on("dialog", (dialog) => { screen.complaints.push(`dialog ${dialog.message()}`); void dialog.dismiss(); });
    await page.addInitScript(() => {
      window.shifts = [];
      new PerformanceObserver((list) => { for (const e of list.getEntries()) window.shifts.push([e.value, ...e.sources.map((s) => `${s.node?.id || s.node?.parentElement?.outerHTML?.slice(0, 160)} ${s.previousRect.x},${s.previousRect.y} > ${s.currentRect.x},${s.currentRect.y}`)]); }).observe({ type: "layout-shift", buffered: true });
      document.addEventListener("securitypolicyviolation", (e) => console.error(`CSP ${e.violatedDirective} ${e.blockedURI} ${e.sample}`));
    });
    if (init) await page.addInitScript(init);
    if (checkout) await page.route(/\/(board(\?wall)?|web\/.*)?$/, (route) => screen.#serve(route));
    if (mine) await page.routeWebSocket("**/v1/agent", (way) => screen.#speak(way));
    await page.goto(url);
    await page.fill("#token", token);
    await page.press("#token", "Tab");
    await page.click("#enter");
    return screen;
  }

  #serve(route) {
    const { pathname } = new URL(route.request().url()), file = { "/": "web/index.html", "/board": "web/board/board.html" }[pathname] ?? pathname.slice(1);
    const policy = /CONTENT_SECURITY_POLICY: &str = "((?:[^"\\]|\\\n)*)"/.exec(text("src/agents/pages.rs"))[1].replace(/\\\n/g, "");
    return route.fulfill({ body: text(file), headers: { "content-type": mimes[file.split(".").at(-1)], "content-security-policy": policy } });
  }

  #speak(way) {
    this.#ways.push(way);
    way.onMessage((data) => {
      const frame = JSON.parse(data);
      if (frame.type === "ping") { this.say("done", { id: frame.id }); return; }
      const answer = this.answers[frame.type];
      if (answer) this.say(answer.failed ? "failed" : "done", { id: frame.id, ...(typeof answer === "function" ? answer(frame) : answer.failed ?? answer) });
      const at = this.#waits.findIndex((w) => w.type === frame.type);
      if (at >= 0) this.#waits.splice(at, 1)[0].good(frame); else this.#heard.push(frame);
    });
    // A socket that the test closed says nothing more; the page comes again by itself.
    way.onClose(() => { this.#ways = this.#ways.filter((w) => w !== way); });
  }

  /** The next frame of this type that the page said. */
  hear(type) {
    const at = this.#heard.findIndex((f) => f.type === type);
    if (at >= 0) return Promise.resolve(this.#heard.splice(at, 1)[0]);
    return new Promise((good, bad) => {
      const late = setTimeout(() => bad(new Error(`no ${type} came`)), 15_000);
      this.#waits.push({ type, good: (frame) => { clearTimeout(late); good(frame); } });
    });
  }

  say(type, body) {
    const streams = ["pop", "pop.updated", "pop.withdrawn", "call.changed"].includes(type);
    if (streams) this.seq += 1;
    this.#ways.at(-1)?.send(JSON.stringify({ type, seq: streams ? this.seq : 0, at: new Date().toISOString(), ...body }));
  }
  done(frame, body = {}) { this.say("done", { id: frame.id, ...body }); }
  /** The connection breaks, or the daemon closes it with a code. */
  async cut(code) { await this.#ways.at(-1).close(code && { code }); }

  async welcome(body = {}) {
    await this.hear("authenticate");
    this.say("welcome", {
      epoch: 7, features: [], agent: { id: "1001", tenant: "default", name: "Li Na", roles: [] }, ping_ms: 15_000, open: "never",
      reasons: [{ id: "break" }, { id: "lunch", limit_s: 1800 }], queues: ["support"], ...body,
    });
    return this.hear("resume");
  }

  is(what) { return this.page.waitForFunction((w) => document.getElementById("desk").dataset.is === w, what); }
  until(script, arg) { return this.page.waitForFunction(script, arg, { timeout: 20_000 }); }

  /** A picture of this state, where pictures are wanted. */
  async shot(name) {
    if (!shots) return;
    mkdirSync(shots, { recursive: true });
    await this.page.screenshot({ path: join(shots, `${name}.png`) });
  }
  /** What axe finds, in words; nothing is right. */
  async axe() {
    // The page's policy lets no script in but its own: the debugger's door is not the page's.
    await this.page.evaluate(axe);
    // A tint that is on its way from one theme to the other is neither's: axe looks when all have arrived.
    await this.page.evaluate(() => Promise.allSettled(document.getAnimations().map((a) => a.finished)));
    const { violations } = await this.page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    return violations.flatMap((v) => v.nodes.map((n) => `${v.id}: ${n.html.slice(0, 160)} ${n.failureSummary.replace(/\s+/g, " ").slice(0, 300)}`));
  }
  close() { return this.context.close(); }
}
