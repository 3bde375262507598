// A browser on the console, and what every test of it does: sign in, go to a page, take its picture, ask axe.
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { root } from "./site.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
/** Where pictures go; none are made without it. */
const shots = process.env.LINECARD_SHOTS;
/** For whoever works on the page: it comes from the checkout, not from the binary, and no build is needed. */
const checkout = process.env.LINECARD_WEB === "checkout";
const mimes = { html: "text/html; charset=utf-8", css: "text/css; charset=utf-8", js: "text/javascript; charset=utf-8" };

export const launch = () => chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--lang=en-US"] });

export class Screen {
  /** Errors, exceptions, violations of the policy, dialogs of scripts: nothing is right. */
  complaints = [];

  static async open(browser, url, { theme = "light", lang = "en", width = 1440, height = 900 } = {}) {
    const screen = new Screen();
    screen.context = await browser.newContext({ viewport: { width, height }, locale: lang === "en" ? "en-US" : lang, colorScheme: theme, timezoneId: "Asia/Shanghai" });
    const page = screen.page = await screen.context.newPage();
    page.setDefaultTimeout(15_000);
    page.on("pageerror", (error) => screen.complaints.push(String(error)));
    // That an answer was a refusal is the browser's own line; what the page makes of it is what is tested.
    page.on("console", (said) => { if (said.type() === "error" && !/Failed to load resource/.test(said.text())) screen.complaints.push(said.text()); });
    page.on("dialog", (dialog) => { if (dialog.type() !== "beforeunload") screen.complaints.push(`dialog ${dialog.message()}`); void dialog.accept(); });
    await page.addInitScript(() => document.addEventListener("securitypolicyviolation", (e) => console.error(`CSP ${e.violatedDirective} ${e.blockedURI} ${e.sample}`)));
    if (checkout) await page.route(/\/(admin|web\/[^?]*)$/, (route) => screen.#serve(route));
    await page.goto(`${url}/admin`);
    return screen;
  }
  #serve(route) {
    const { pathname } = new URL(route.request().url()), file = pathname === "/admin" ? "web/admin/index.html" : pathname.slice(1);
    const policy = /CONTENT_SECURITY_POLICY: &str = "((?:[^"\\]|\\\n)*)"/.exec(readFileSync(join(root, "src/agents/pages.rs"), "utf8"))[1].replace(/\\\n/g, "").replace("trusted-types 'none'", "trusted-types lit-html");
    return route.fulfill({ body: readFileSync(join(root, file), "utf8"), headers: { "content-type": mimes[file.split(".").at(-1)], "content-security-policy": policy } });
  }
  async enter(name = "admin", password = "linecard-demo") {
    await this.page.fill("#name", name);
    await this.page.fill("#password", password);
    await this.page.press("#password", "Enter");
  }
  async inside(name) {
    await this.enter(name);
    await this.page.waitForSelector("#shell");
  }
  /** Goes to a page (`undelivered?state=dead`) and waits until it is drawn. */
  async at(place) {
    const name = place.split("?")[0];
    await this.page.evaluate((to) => { location.hash = to; }, `#/${place}`);
    await this.page.waitForSelector(`main[data-page="${name}"]`);
    await this.page.waitForFunction(() => !document.querySelector(".bars"));
  }
  /** What the head of the page said last. */
  told(text) { return this.page.waitForFunction((t) => document.querySelector(".heard")?.textContent?.includes(t), text); }
  async shot(name) {
    if (!shots) return;
    mkdirSync(shots, { recursive: true });
    await this.page.screenshot({ path: join(shots, `console-${name}.png`) });
  }
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
