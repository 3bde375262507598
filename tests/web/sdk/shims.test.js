// Both shims at the demo's daemon, its calls as they come: Salesforce's own library has the one, a page as it is written for Streams the other.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { demo, launch } from "../desk/hands.js";
import { attach, heard, names, open } from "./hands.js";

let browser, play, page;
before(async () => {
  browser = await launch();
  play = await demo("--by-hand");
  page = await open(browser, play.url);
  await attach(page, { url: play.url, token: play.tokens["1001"], statuses: [{ id: "0N5break", state: "not-ready", reason: "break" }, { id: "0N5ready", state: "ready" }] });
});
after(async () => { assert.deepEqual(page?.complaints, []); await browser?.close(); await play?.stop(); });
const both = async (salesforce, streams) => [await heard(page, "salesforce", ...salesforce), await heard(page, "streams", ...streams)];

test("the agent is there", async () => {
  const [salesforce, streams] = await both(["CONNECTOR_READY"], ["Init > Available"]);
  const [, ready] = salesforce[0];
  assert.deepEqual([ready.callInProgress, ready.agentConfig.SELECTED_PHONE.type, ready.capabilities.MUTE, ready.capabilities.SWAP, ready.capabilities.CONTACT_SEARCH], [null, "DESK_PHONE", true, false, true]);
  assert.deepEqual(streams, [["onInitialized"], ["agent"], ["onRoutable"], ["Init > Available"]]);
  const agent = await page.evaluate(() => {
    const { agent } = window;
    return { name: agent.getName(), state: agent.getState().type, states: agent.getAgentStates().map(({ name }) => name), queues: agent.getAllQueueARNs(), soft: agent.isSoftphoneEnabled(), still: agent.toSnapshot().getState().name };
  });
  assert.deepEqual(agent, { name: "Agent Li", state: "routable", states: ["Available", "break", "lunch", "meeting", "training", "Offline"], queues: ["support"], soft: false, still: "Available" });
});

test("a call rings, is answered, ends and is wrapped up", async () => {
  await page.evaluate(() => { window.salesforce.length = window.streams.length = 0; });
  play.say("call answered 13800138000 1001");
  const [[, [, started]], streams] = [await heard(page, "salesforce", "CALL_STARTED").then((all) => [all, all.at(-1)]), await heard(page, "streams", "onConnecting")];
  const id = started.callId;
  assert.deepEqual(
    [started.callType, started.state, started.phoneNumber, started.callAttributes.participantType, started.callAttributes.voiceCallId, started.callInfo.queueName, started.callInfo.isSoftphoneCall],
    ["Inbound", "ringing", "+8613800138000", "Initial_Caller", `0LQ${id.slice(-4)}`, "Support / 技术支持", false],
  );
  assert.deepEqual(streams.filter(([name]) => !name.includes(">")), [["contact"], ["onConnecting", "connecting"]]);
  const ringing = await page.evaluate(() => {
    const { contact } = window, [agent, customer] = contact.getConnections();
    return [contact.getContactId(), contact.getType(), contact.isInbound(), contact.getCustomerEndpoint().phoneNumber, contact.getQueue().queueId, agent.isConnecting(), customer.getType(), customer.isInitialConnection(), contact.getInitiationMethod()];
  });
  assert.deepEqual(ringing, [id, "voice", true, "+8613800138000", "support", true, "inbound", true, "inbound"]);

  const [answered] = await both(["CALL_CONNECTED"], ["onConnected"]);
  assert.deepEqual([names(answered), answered[0][1].callId, answered[0][1].state], [["CALL_CONNECTED"], id, "connected"]);
  assert.equal(await page.evaluate(() => window.contact.getAgentConnection().isConnected() && window.contact.hasTwoActiveParticipants() && window.agent.getState().name), "Busy");
  // This switch takes no orders: the library tells Salesforce, and the page for Streams hears why.
  await page.evaluate((call) => window.ask("HOLD", { call }), answered[0][1]);
  assert.deepEqual(await heard(page, "salesforce", "ERROR"), [["ERROR", { message: "CAN_NOT_HOLD_CALL" }]]);
  assert.match(await page.evaluate(() => new Promise((failure) => window.contact.getInitialConnection().hold({ failure }))), /control/);

  const [over, ended] = await both(["AFTER_CALL_WORK_STARTED"], ["onAfterCallWork"]);
  assert.deepEqual(names(over), ["HANGUP", "AFTER_CALL_WORK_STARTED"]);
  assert.deepEqual([over[0][1][0].callId, over[0][1][0].state, over[1][1]], [id, "ended", { callId: id }]);
  assert.deepEqual(ended.filter(([name]) => /^on(ACW|Ended|After)/.test(name)), [["onACW", "ended"], ["onEnded", "ended"], ["onAfterCallWork"]]);
  await page.evaluate((callId) => window.ask("WRAP_UP_CALL", { call: { callId } }), id);
  const after = await heard(page, "streams", "onRoutable");
  assert.deepEqual(after.filter(([name]) => !name.includes(">")).map(([name]) => name).sort(), ["onDestroy", "onRoutable"]);
  assert.deepEqual(await page.evaluate(() => [window.linecard.calls.length, window.salesforce.map(([name]) => name).filter((name) => name !== "SET_AGENT_STATUS")]), [0, []]);
});

test("the agent's state is told, and what this switch does not take is refused with its reason", async () => {
  await page.evaluate(() => { window.salesforce.length = window.streams.length = 0; window.ask("GET_AGENT_STATUS"); });
  assert.deepEqual((await heard(page, "salesforce", "GET_AGENT_STATUS_RESULT")).at(-1)[1], { statusId: "0N5ready", statusType: "routable", statusName: "ready" });
  await page.evaluate(() => window.ask("SET_AGENT_STATUS", { agentStatus: "Online", statusInfo: { statusId: "0N5x", statusApiName: "Lunch", statusName: "Lunch" } }));
  assert.deepEqual(await heard(page, "salesforce", "ERROR"), [["SET_AGENT_STATUS_RESULT", { success: false }], ["ERROR", { message: "CAN_NOT_SET_AGENT_STATUS" }]]);
  assert.match(await page.evaluate(() => new Promise((failure) => window.agent.setState(window.agent.getAgentStates()[1], { failure }))), /control/);
  await page.evaluate(() => window.ask("SET_AGENT_STATUS", { agentStatus: "Asleep" }));
  assert.deepEqual(await heard(page, "salesforce", "ERROR"), [["ERROR", { message: "INVALID_AGENT_STATUS" }]]);
  await page.evaluate(() => window.ask("SET_AGENT_STATUS", { agentStatus: "Online", statusInfo: { statusId: "0N5ready" } }));
  assert.deepEqual(await heard(page, "salesforce", "SET_AGENT_STATUS_RESULT"), [["SET_AGENT_STATUS_RESULT", { success: true }]]);
});

test("Salesforce dials, and its page finds whom", async () => {
  await page.evaluate(() => { window.salesforce.length = window.streams.length = 0; window.ask("GET_PHONE_CONTACTS", { filter: { contains: "ware" } }); });
  const [[, found]] = await heard(page, "salesforce", "PHONE_CONTACTS");
  assert.deepEqual([found.contacts[0].phoneNumber, found.contactTypes], ["7000", ["PhoneNumber"]]);
  await page.evaluate(() => window.ask("DIAL", { contact: { phoneNumber: "13900139000" } }));
  const [dialled, contact] = await both(["CALL_STARTED"], ["onConnecting"]);
  assert.deepEqual([names(dialled), dialled[0][1].callType, dialled[0][1].state, dialled[0][1].phoneNumber], [["CALL_STARTED"], "Outbound", "ringing", "+8613900139000"]);
  assert.deepEqual(names(contact).filter((name) => !name.includes(">")), ["contact", "onConnecting"]);
  assert.deepEqual(await page.evaluate(() => [window.contact.isInbound(), window.contact.getInitialConnection().isConnecting(), window.contact.getAgentConnection().isConnected()]), [false, true, true]);
  // What comes after this call.
  await page.evaluate(() => window.ask("SET_AGENT_STATUS", { agentStatus: "Online", statusInfo: { statusId: "0N5break" }, enqueueNextState: true }));
  const next = await heard(page, "salesforce", "SET_AGENT_STATUS_RESULT");
  assert.deepEqual(next.at(-1)[1], { success: true });
  await heard(page, "streams", "onEnqueuedNextState");
  assert.equal(await page.evaluate(() => window.agent.getNextState().name), "break");
  const [over] = await both(["AFTER_CALL_WORK_STARTED"], ["onACW"]);
  assert.deepEqual([...names(next), ...names(over)].filter((name) => !name.startsWith("SET_AGENT")), ["CALL_CONNECTED", "HANGUP", "AFTER_CALL_WORK_STARTED"]);
  // Ended by somebody else, for example on the desk: Salesforce hears it.
  await page.evaluate(() => window.contact.clear());
  assert.deepEqual((await heard(page, "salesforce", "WRAP_UP_ENDED")).filter(([name]) => name !== "SET_AGENT_STATUS"), [["WRAP_UP_ENDED", { callId: dialled[0][1].callId }]]);
  await heard(page, "streams", "onDestroy");
  // Nobody may be dialled so.
  await page.evaluate(() => window.ask("DIAL", { contact: { phoneNumber: "xyz" } }));
  assert.deepEqual(await heard(page, "salesforce", "ERROR"), [["CALL_FAILED", undefined], ["ERROR", { message: "INVALID_DESTINATION" }]]);
  await page.waitForFunction(() => window.linecard.agent.state === "ready");
});

test("a call that nobody answers is missed", async () => {
  await page.evaluate(() => { window.salesforce.length = window.streams.length = 0; });
  play.say("call direct-missed 13800138000 1001");
  const [salesforce, streams] = await both(["HANGUP"], ["onDestroy"]);
  assert.deepEqual(names(salesforce).filter((name) => name !== "SET_AGENT_STATUS"), ["CALL_STARTED", "HANGUP"]);
  assert.deepEqual(streams.filter(([name]) => /^(on(Con|En|Mi|De|ACW)|contact)/.test(name)), [["contact"], ["onConnecting", "connecting"], ["onEnded", "missed"], ["onMissed", "missed"], ["onDestroy", "missed"]]);
  await page.waitForFunction(() => window.linecard.agent.state === "ready");
});

test("a colleague is asked while the customer waits, and has the call then", async () => {
  await page.evaluate(() => { window.salesforce.length = window.streams.length = 0; });
  play.say("call attended-transfer 13800138000 1001");
  const asked = await heard(page, "salesforce", "PARTICIPANT_CONNECTED");
  const told = names(asked).filter((name) => name !== "SET_AGENT_STATUS");
  assert.deepEqual(told.slice(0, 3), ["CALL_STARTED", "CALL_CONNECTED", "HOLD_TOGGLE"]);
  assert.deepEqual(told.slice(-2), ["PARTICIPANT_ADDED", "PARTICIPANT_CONNECTED"]);
  const third = asked.at(-1)[1];
  assert.ok(third.callId.endsWith(":third") && /^Agent /.test(third.phoneNumber));
  assert.deepEqual(await page.evaluate(() => {
    const { contact } = window, third = contact.getSingleActiveThirdPartyConnection();
    return [contact.getInitialConnection().isOnHold(), third.isConnected(), /^Agent /.test(third.getEndpoint().name), contact.getConnections().length];
  }), [true, true, true, 3]);
  await both(["AFTER_CALL_WORK_STARTED"], ["onACW"]);
});
