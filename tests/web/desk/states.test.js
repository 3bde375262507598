// Each state of the desk, at three widths, in both themes and languages: nothing that axe finds, nothing sideways, every part at its height.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { agent, links } from "./frames.js";
import { launch, Screen } from "./hands.js";
import { calls, looks, said, states } from "./pictures.js";
import { site } from "./site.js";

let browser, url, stop;
before(async () => { browser = await launch(); ({ url, stop } = await site()); });
after(async () => { await browser?.close(); await stop?.(); });

const offers = [{ name: "refund", title: { en: "Refund", zh: "退款" }, inputs: [] }, { name: "mail", title: { en: "Send mail", zh: "发邮件" }, inputs: [] }];
/** How high each part stands: wide and middle, narrow. */
const heights = { bar: [48, 44], strip: [96, 120], lane: [36, 32] };

for (const [theme, lang] of [["light", "zh-CN"], ["dark", "en"], ["light", "en"], ["dark", "zh-CN"]]) {
  test(`every state, ${theme}, ${lang}`, async () => {
    const w = said(lang), wrong = [];
    for (const [name, { is, say, more }] of Object.entries(states)) {
      const screen = await Screen.open(browser, { url, theme, lang });
      screen.answers = { "callback.list": () => ({ callbacks: calls(w) }), "flow.list": { flows: { offers, list: [] } } };
      await screen.welcome({ systems: [{ id: "desk", title: w.tickets, tickets: ["search", "comment"] }, { id: "erp", title: "ERP", tickets: [] }, { id: "orders", title: w.orders, tickets: [] }, { id: "loyalty", title: w.loyalty, tickets: [] }] });
      screen.say("snapshot", { agent: agent("ready"), links: links(), calls: [] });
      say(screen, w);
      await screen.is(is);
      if (is === "idle") await screen.until(() => document.querySelectorAll(".back").length === 2);
      if (more) await more(screen, w);
      for (const [width, height] of looks) {
        await screen.page.setViewportSize({ width, height });
        // What a change of size moves is drawn first.
        await screen.page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
        await screen.shot(`${name}-${width}-${theme}-${lang}`);
        const seen = await screen.page.evaluate(() => ({
          sideways: document.documentElement.scrollWidth > innerWidth || document.getElementById("desk").scrollWidth > innerWidth || document.getElementById("facts").scrollWidth > document.getElementById("facts").clientWidth,
          heights: Object.fromEntries(["bar", "strip", "lane"].map((id) => [id, document.getElementById(id).getBoundingClientRect().height])),
          small: [...document.querySelectorAll("button, a, input:not([type=checkbox]), [role=option]")].filter((e) => e.checkVisibility() && !e.closest("p, b, .unseen")).map((e) => [e.id || e.textContent, e.getBoundingClientRect()]).filter(([, r]) => r.width && r.height < 24).map(([n, r]) => `${n} ${r.height}`),
        }));
        if (seen.sideways) wrong.push(`${name} at ${width} scrolls sideways`);
        for (const [part, [wide, narrow]] of Object.entries(heights)) if (seen.heights[part] !== (width > 760 ? wide : narrow)) wrong.push(`${name} at ${width}: ${part} is ${seen.heights[part]} high`);
        wrong.push(...seen.small.map((what) => `${name} at ${width}: too small to hit: ${what}`), ...(await screen.axe()).map((found) => `${name} at ${width}: ${found}`));
      }
      wrong.push(...screen.complaints.map((said) => `${name}: ${said}`));
      await screen.close();
    }
    assert.deepEqual(wrong, []);
  });
}

test("with the system's own colours borders and words still carry it", async () => {
  const w = said("en"), screen = await Screen.open(browser, { url, context: { forcedColors: "active", reducedMotion: "reduce" } });
  await screen.welcome();
  screen.say("snapshot", { agent: agent("ready"), links: links(), calls: [] });
  states["03-ringing-filled"].say(screen, w);
  await screen.is("ringing");
  const seen = await screen.page.evaluate(() => {
    const of = (e, what) => getComputedStyle(document.querySelector(e))[what];
    return { strip: of("#strip", "borderTopStyle"), tag: of(".tag", "borderTopStyle"), word: document.getElementById("word").textContent, moves: of("#strip", "transitionDuration") };
  });
  assert.deepEqual(seen, { strip: "solid", tag: "solid", word: "Ringing", moves: "0s" });
  await screen.shot("11-forced-colours-1440");
  await screen.close();
});
