// Everything that a caller or a business system can write is text and stays text: nothing runs, nothing is asked of elsewhere, no link leads to a script.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { CALL, agent, block, changed, links, pop, said, seconds } from "./frames.js";
import { launch, Screen } from "./hands.js";
import { payloads } from "./payloads.js";
import { site } from "./site.js";

let browser, url, stop;
before(async () => { browser = await launch(); ({ url, stop } = await site()); });
after(async () => { await browser?.close(); await stop?.(); });

/** The same text in every place that is a stranger's. */
function everywhere(p) {
  const w = said("en");
  const who = (id) => ({ id: `erp:customer:${id}`, link: { system: p, type: p, id }, name: p, reason: p, url: p, facts: { name: p, tier: p, email: p, [p]: p }, also: [{ link: { system: p, type: p, id: p }, name: p, by: "key", key: p }] });
  const card = (state) => ({
    answer: { state, reason: p }, candidates: state === "found" ? [who("C1")] : [who("C1"), who("C2")], found_by: "number", remembered: { agent: p, at: seconds(-90) },
    blocks: [
      block("erp", "finance", p, "fresh", { body: { balance: p, credit: p, currency: p, [p]: p } }),
      block(p, "orders", p, "stale", { body: [{ id: p, state: p, what: p, amount: p, currency: p, url: p, [p]: p }] }),
      block("desk", "tickets.open", p, "fresh", { body: [{ id: p, subject: p, status: p, url: p, at: p }] }),
      block(p, p, p, "unavailable", { reason: p }), block(p, p, p, "absent", { reason: p }), block("loyalty", "loyalty", p, "fresh", { body: { points: p, tier: p, list: [p], nested: { [p]: p } } }),
    ],
  });
  const more = {
    title: p, brand: p, name: p, target: p, queue: { id: p, label: p }, line: { display: p, class: "unknown", masked: false }, number: { display: p, class: "unknown", masked: false, handle: p }, attributes: { "ivr.account": p, [p]: p }, language: p,
    fields: [{ name: "ivr.account", label: p, type: "text", cap: 99, writable: false }, { name: p, label: p, type: "choice", choices: [p], cap: 99, writable: true }, { name: "x.y", label: p, type: "text", cap: 99, writable: true }], notes: [{ agent: p, text: p }], actions: ["candidate.choose", "candidate.forget", "attribute.set", "customer.create", "call.answer"],
  };
  return { found: pop(w, card("found"), more), ambiguous: pop(w, card("ambiguous"), more) };
}

test(`${payloads.length} payloads in every place are text`, async () => {
  const screen = await Screen.open(browser, { url });
  const elsewhere = [];
  await screen.page.route(/127\.0\.0\.1:1\//, (route) => { elsewhere.push(route.request().url()); return route.abort(); });
  let now = payloads[0];
  const entry = (p) => ({ callback: CALL, display: p, masked: false, handle: p, name: p, why: "asked", line: p, since: seconds(-9), last: seconds(-9), count: 1, attempts: 0, due: seconds(-9), owner: p, owner_name: p, note: p });
  const flow = (p) => ({ flow: "f1", name: p, title: { en: p }, state: "person", call: CALL, agent: p, since: seconds(-3), reason: p, amount: p, actions: ["flow.task"], steps: [{ step: p, title: { en: p }, state: "answer", reason: p, answer: { name: p, text: p } }], tasks: [{ task: 1, kind: "decide", step: p, system: p, operation: p, key: p, reason: p, inputs: { [p]: p }, at: seconds(-1), taken: p, done: [{ step: p, system: p, operation: p, id: p, at: seconds(-1) }] }] });
  screen.answers = {
    "callback.list": () => ({ callbacks: { open: 1, list: [entry(now)] } }), "flow.list": () => ({ flows: { offers: [{ name: now, title: { en: now }, inputs: [{ name: now, type: "choice", label: { en: now }, required: true, choices: [now] }] }], list: [] } }),
    "customer.search": () => ({ candidates: [{ id: now, link: { system: now, type: now, id: now }, name: now, reason: now, url: now }] }), "ticket.search": () => ({ tickets: [{ system: now, id: now, subject: now, state: now, url: now }] }),
  };
  await screen.welcome({ agent: { id: "1001", tenant: "default", name: now, roles: ["supervisor"] }, reasons: [{ id: "break", label: now }], queues: [now], outcomes: { "*": [now] }, systems: [{ id: "erp", title: now, tickets: ["search", "comment"], update: ["name", "email"] }, { id: "desk", tickets: ["comment"] }] });
  screen.say("snapshot", { agent: agent("not-ready", { reason: now }), links: [...links(), { kind: "system", id: now, up: false, since: seconds(-1), reason: now }], calls: [] });
  await screen.is("idle");
  for (const [i, p] of payloads.entries()) {
    now = p;
    const { found, ambiguous } = everywhere(p);
    screen.say("pop", { ...ambiguous, pop: `${CALL}-${i}` });
    await screen.is("ringing");
    screen.say("pop.updated", { ...found, pop: `${CALL}-${i}` });
    screen.say("flow.changed", flow(p));
    screen.say("wish.changed", { call: CALL, wish: "k", what: "note.add", system: p, ticket: p, state: "refused", reason: p });
    screen.say("call.changed", changed("talking", "talking", { pop: `${CALL}-${i}`, agents: [{ agent: p, name: p, role: "inbound", state: "talking" }], answered_at: seconds(-1), actions: ["call.hangup"] }));
    await screen.until(() => document.getElementById("desk").dataset.is === "talking" && document.querySelector("#under-way .reply")).catch(async (late) => { throw new Error(`${p}: ${screen.complaints} ${await screen.page.textContent("#facts")}`, { cause: late }); });
    const seen = await screen.page.evaluate(() => ({
      name: document.getElementById("name").textContent,
      links: [...document.querySelectorAll("a[href]")].map((a) => a.getAttribute("href")).filter((href) => !/^https?:/.test(href)),
      // Only what the page itself makes is an element.
      strangers: [...document.querySelectorAll("#desk *")].filter((e) => /^(script|img|iframe|object|embed|video|style|link|base|meta|body|math|template|x)$/i.test(e.tagName)).map((e) => e.outerHTML),
      handlers: [...document.querySelectorAll("#desk *")].flatMap((e) => [...e.attributes].filter((a) => a.name.startsWith("on")).map((a) => `${e.tagName} ${a.name}`)),
      ran: window.ran,
    }));
    assert.deepEqual({ ...seen, name: undefined }, { name: undefined, links: [], strangers: [], handlers: [], ran: undefined }, p);
    assert.equal(seen.name, p);
    if (i === 0) {
      // Forms and results, which stand beside the call.
      await screen.page.click("#find");
      await screen.page.fill("#query", p);
      await screen.page.click("#search");
      await screen.until((text) => document.getElementById("results").textContent.includes(text), p);
      await screen.page.click("#search-tickets");
      await screen.page.click("#shut");
      await screen.page.fill("#notes", p);
      await screen.page.click("#state");
      await screen.page.keyboard.press("Escape");
    }
    screen.say("call.changed", changed(undefined, "ended", { pop: `${CALL}-${i}` }));
    await screen.is("idle");
  }
  assert.deepEqual(screen.complaints, []);
  assert.deepEqual(elsewhere, []);
  await screen.close();
});
