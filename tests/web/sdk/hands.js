// What the shims' tests share: a page of the daemon's own origin that has the SDK and the contracts' libraries, Salesforce's side of its library, and a socket whose
// other end the test is.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { text } from "../desk/hands.js";

const wanted = createRequire(import.meta.url);
/** A file of one of the contracts' packages, which `npm ci` puts there. */
export function theirs(file) {
  try { return readFileSync(wanted.resolve(file), "utf8"); } catch (error) { throw new Error(`${file} is not there: run "npm ci" in tests/web`, { cause: error }); }
}
const SCV = "@salesforce/scv-connector-base/dist/scv-connector-base.js", STREAMS = "amazon-connect-streams/release/connect-streams.js";
export const TYPES = { salesforce: "@salesforce/scv-connector-base/ts-declaration/types.d.ts", streams: "amazon-connect-streams/src/index.d.ts" };

/** A page that has the libraries as `window.base` (Salesforce's) and `window.theirs` (Streams'). It is a script of the daemon's, so it has the daemon's own policy. */
export async function open(browser, url, prepare = async () => {}) {
  const page = await browser.newPage();
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(String(error)));
  if (process.env.LINECARD_WEB === "checkout") {
    await page.route("**/web/sdk/*.js", (route) => route.fulfill({ body: text(new URL(route.request().url()).pathname.slice(1)), contentType: "text/javascript" }));
  }
  await prepare(page);
  await page.goto(new URL("/web/say.js", url).href);
  // The page's policy lets no text become a script: the debugger's door is not the page's.
  await page.evaluate(`(() => { const module = { exports: {} }, exports = module.exports; ${theirs(SCV)}\n; window.base = module.exports; })()`);
  await page.evaluate(`${theirs(STREAMS)}\n; window.theirs = window.connect; delete window.connect;`);
  return page;
}

/** Both shims on one Linecard: `window.linecard`, `window.connect`, and Salesforce's side, which hears in `window.salesforce` and asks by `window.ask`. */
export function attach(page, { url, token, statuses = [] }) {
  return page.evaluate(async ({ url, token, statuses }) => {
    const [{ Linecard }, { LinecardConnector }, { streams }] = await Promise.all(["linecard", "salesforce", "streams"].map((name) => import(`/web/sdk/${name}.js`)));
    const linecard = (window.linecard = new Linecard({ url, token }));

    // The library's own events, in the order in which Salesforce hears them.
    window.salesforce = [];
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = ({ data: { type, payload } }) => {
      if (type === "CONNECTOR_READY") window.salesforce.push([type, payload]);
      if (type === "TELEPHONY_EVENT_DISPATCHED") window.salesforce.push([payload.telephonyEventType, payload.telephonyEventPayload]);
    };
    window.ask = (type, body) => port1.postMessage({ type, ...body });
    const options = { statuses, voiceCallId: async (call) => `0LQ${call.id.slice(-4)}`, contacts: async () => [{ id: "c1", type: "PhoneNumber", name: "Warehouse", phoneNumber: "7000" }] };
    window.base.initializeConnector(new LinecardConnector(linecard, window.base, options));
    window.dispatchEvent(new MessageEvent("message", { data: { type: "SETUP_CONNECTOR", connectorConfig: {} }, origin: "https://acme.lightning.force.com", ports: [port2] }));

    // What a page that was written for Streams hears.
    window.streams = [];
    const connect = (window.connect = streams(linecard));
    const ON = ["onConnecting", "onAccepted", "onConnected", "onMissed", "onACW", "onEnded", "onDestroy"];
    connect.contact((contact) => {
      window.contact = contact;
      window.streams.push(["contact"]);
      for (const on of ON) contact[on]((one) => window.streams.push([on, one.getState().type]));
    });
    connect.agent((agent) => {
      window.agent = agent;
      window.streams.push(["agent"]);
      agent.onStateChange(({ oldState, newState }) => window.streams.push([`${oldState} > ${newState}`]));
      for (const on of ["onRoutable", "onNotRoutable", "onOffline", "onAfterCallWork", "onEnqueuedNextState", "onClearedNextState"]) agent[on](() => window.streams.push([on]));
      agent.onMuteToggle(({ muted }) => window.streams.push(["onMuteToggle", muted]));
    });
    connect.core.onInitialized(() => window.streams.push(["onInitialized"]));
    connect.core.onAuthFail(() => window.streams.push(["onAuthFail"]));
    connect.core.initCCP(null, { ccpUrl: "https://acme.my.connect.aws/ccp-v2" });
    await linecard.connect();
  }, { url, token, statuses });
}

/** Waits until `list` has heard one whose name is `last`, and answers all since the last time: names, and with them what was said. */
export async function heard(page, list, last, count = 1) {
  await page.waitForFunction(([list, last, count]) => window[list].filter(([name]) => name === last).length >= count, [list, last, count], { timeout: 40_000 });
  return page.evaluate((list) => window[list].splice(0), list);
}
export const names = (all) => all.map(([name]) => name);

/** The daemon's end of the socket: answers `done`, or what `answers` has for a request: frames that follow the answer. */
export class Script {
  asked = []; answers = {}; seq = 0; #way;
  async prepare(page) { await page.routeWebSocket("**/v1/agent", (way) => { this.#way = way; way.onMessage((data) => this.#hear(JSON.parse(data))); }); }
  #hear(frame) {
    if (frame.type === "authenticate") this.say("welcome", { epoch: 1, agent: { id: "1001", name: "Li Na", roles: [], tenant: "default" }, reasons: [{ id: "lunch", label: "Lunch" }], queues: ["support"], open: "never", features: [], ping_ms: 15_000 });
    else if (frame.type === "resume") this.say("snapshot", { agent: this.agent, links: [], calls: [] });
    else if (frame.type === "ping") this.say("done", { id: frame.id });
    else {
      const { type, id, ...body } = frame;
      this.asked.push([type, body]);
      const [answer, ...frames] = this.answers[type]?.(body) ?? [{}];
      this.say(answer.code ? "failed" : "done", { id, ...answer });
      for (const [type, body] of frames) this.say(type, body);
    }
  }
  agent = { agent: "1001", state: "ready", active: true, screens: 1 };
  say(type, body) {
    const streams = ["pop", "pop.updated", "pop.withdrawn", "call.changed", "snapshot"].includes(type);
    this.#way.send(JSON.stringify({ type, seq: streams ? ++this.seq : 0, at: new Date().toISOString(), ...body }));
  }
}
