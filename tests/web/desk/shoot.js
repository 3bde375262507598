// node shoot.js [state...]: pictures of the states into LINECARD_SHOTS, for whoever works on the page.
import { launch, Screen } from "./hands.js";
import { calls, looks, said, states } from "./pictures.js";
const browser = await launch();
const want = process.argv.slice(2), quick = process.env.QUICK;
for (const [name, { is, say }] of Object.entries(states)) {
  if (want.length && !want.some((w) => name.includes(w))) continue;
  for (const [theme, lang] of quick ? [["light", "zh-CN"]] : [["light", "zh-CN"], ["dark", "en"]]) for (const [width, height] of looks) {
    const screen = await Screen.open(browser, { width, height, theme, lang });
    screen.answers = { "callback.list": () => ({ callbacks: calls(said(lang)) }), "flow.list": { flows: { offers: [{ name: "refund", title: { en: "Refund", zh: "退款" }, inputs: [] }, { name: "mail", title: { en: "Send mail", zh: "发邮件" }, inputs: [] }], list: [] } } };
    await screen.welcome({ systems: [{ id: "desk", tickets: ["search", "comment"] }] });
    screen.say("snapshot", { agent: agentOf(), links: (await import("./frames.js")).links(), calls: [] });
    say(screen, said(lang));
    await screen.is(is);
    await screen.page.waitForTimeout(350);
    await screen.shot(`${name}-${width}-${theme}-${lang}`);
    if (screen.complaints.length) console.log(name, screen.complaints);
    await screen.close();
  }
}
function agentOf() { return { agent: "1001", state: "ready", active: true, screens: 1 }; }
await browser.close();
