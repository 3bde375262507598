// What the shims ask of the daemon, and what they make of its answer, on a switch that takes every order: a socket whose other end the test is.
import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, test } from "node:test";
import { demo, launch } from "../desk/hands.js";
import { CALL, SECOND, changed, filled, pop, said } from "../desk/frames.js";
import { Script, attach, heard, names, open } from "./hands.js";

const w = said("en"), TALKING = ["call.hangup", "call.hold", "call.mute", "call.digits", "call.transfer", "call.consult", "call.record.pause"];
let browser, place, page, script;
before(async () => { browser = await launch(); place = await demo("--by-hand"); });
after(async () => { await browser?.close(); await place?.stop(); });
beforeEach(async () => {
  script = new Script();
  page = await open(browser, place.url, (page) => script.prepare(page));
  await attach(page, { url: place.url, token: "t", statuses: [{ id: "0N5ready", state: "ready" }] });
  await heard(page, "salesforce", "CONNECTOR_READY");
  await heard(page, "streams", "Init > Available");
});
afterEach(async () => { assert.deepEqual(page.complaints, []); await page.close(); });

const rings = (more = {}) => script.say("pop", pop(w, filled(w), more));
const leg = (leg, actions = [], more = {}) => ["call.changed", changed(leg, leg === "holding" ? "held" : leg ? "talking" : "ended", { actions, ...more })];
const wrapup = () => ["call.changed", changed(null, "ended", { wrapup: { since: new Date().toISOString(), until: new Date(Date.now() + 60_000).toISOString(), may_extend: false } })];
/** Asks as Salesforce does; the call is the one that it was told of. */
const ask = (type, body = {}) => page.evaluate(([type, body]) => window.ask(type, body), [type, body]);
const phone = { callId: CALL, callType: "Inbound", callAttributes: { participantType: "Agent" } };
const last = () => script.asked.at(-1);
async function talks() {
  rings();
  await heard(page, "salesforce", "CALL_STARTED");
  script.answers["call.answer"] = () => [{}, leg("talking", TALKING)];
  await ask("ACCEPT_CALL", { call: phone });
  assert.deepEqual(names(await heard(page, "salesforce", "CALL_CONNECTED")), ["CALL_CONNECTED"]);
  await heard(page, "streams", "onConnected");
}
/** Nothing more is told: what was on its way when this was asked has come. */
async function quiet() {
  await page.evaluate(async () => { await window.linecard.request("callback.list"); await new Promise((good) => setTimeout(good)); await new Promise((good) => setTimeout(good)); });
  assert.deepEqual(await page.evaluate(() => window.salesforce.splice(0)), []);
}

test("Salesforce answers, holds, resumes, mutes, pauses the recording, presses keys and hangs up: each is told once", async () => {
  await talks();
  script.answers["call.hold"] = () => [{}, leg("holding", ["call.hangup", "call.retrieve"])];
  await ask("HOLD", { call: phone });
  const [[, held]] = await heard(page, "salesforce", "HOLD_TOGGLE");
  assert.deepEqual([held.isCustomerOnHold, held.isThirdPartyOnHold, held.calls[0].callId, held.calls[0].callInfo.isOnHold], [true, false, CALL, true]);
  assert.ok(await page.evaluate(() => window.contact.getInitialConnection().isOnHold()));
  script.answers["call.retrieve"] = () => [{}, leg("talking", TALKING)];
  await ask("RESUME", { call: phone });
  assert.equal((await heard(page, "salesforce", "HOLD_TOGGLE"))[0][1].isCustomerOnHold, false);

  script.answers["call.mute"] = () => [{}, leg("talking", ["call.hangup", "call.unmute", "call.record.pause"])];
  await ask("MUTE");
  assert.deepEqual(await heard(page, "salesforce", "MUTE_TOGGLE"), [["MUTE_TOGGLE", { isMuted: true }]]);
  assert.deepEqual((await heard(page, "streams", "onMuteToggle")).at(-1), ["onMuteToggle", true]);
  // And on the desk.
  script.say(...leg("talking", TALKING));
  assert.deepEqual(await heard(page, "salesforce", "MUTE_TOGGLE"), [["MUTE_TOGGLE", { isMuted: false }]]);
  script.answers["call.record.pause"] = () => [{}, leg("talking", ["call.hangup", "call.mute", "call.digits", "call.record.resume"])];
  await ask("PAUSE_RECORDING", { call: phone });
  assert.equal((await heard(page, "salesforce", "RECORDING_TOGGLE"))[0][1].isRecordingPaused, true);
  await ask("SEND_DIGITS", { digits: "12#" });
  await quiet();
  assert.deepEqual(script.asked.find(([type]) => type === "call.digits"), ["call.digits", { call: CALL, digits: "12#" }]);

  script.answers["call.hangup"] = () => [{}, wrapup()];
  await ask("END_CALL", { call: phone });
  assert.deepEqual(names(await heard(page, "salesforce", "AFTER_CALL_WORK_STARTED")), ["HANGUP", "AFTER_CALL_WORK_STARTED"]);
  script.answers["wrapup.submit"] = () => [{}, leg(null)];
  await ask("WRAP_UP_CALL", { call: phone });
  await heard(page, "streams", "onDestroy");
  await quiet();
});

test("Salesforce declines, and what fails is told by the library's own words", async () => {
  rings();
  const [[, started]] = await heard(page, "salesforce", "CALL_STARTED");
  assert.deepEqual([started.callInfo.acceptEnabled, started.callInfo.declineEnabled, started.callInfo.holdEnabled, started.contact.name], [true, true, false, "Zhang Wei"]);
  script.answers["call.hangup"] = () => [{ code: "busy", message: "the switch is busy" }];
  await ask("DECLINE_CALL", { call: phone });
  assert.deepEqual(await heard(page, "salesforce", "ERROR"), [["ERROR", { message: "CAN_NOT_DECLINE_THE_CALL" }]]);
  script.answers["call.hangup"] = () => [{}, ["pop.withdrawn", { call: CALL, pop: `${CALL}-1`, reason: "rejected" }]];
  await ask("DECLINE_CALL", { call: phone });
  assert.deepEqual(names(await heard(page, "salesforce", "HANGUP")), ["HANGUP"]);
  assert.deepEqual((await heard(page, "streams", "onDestroy")).slice(-3), [["onEnded", "missed"], ["onMissed", "missed"], ["onDestroy", "missed"]]);
  await ask("SWAP_PARTICIPANTS", { callToHold: phone, callToResume: phone });
  assert.deepEqual(await heard(page, "salesforce", "ERROR"), [["ERROR", { message: "CAN_NOT_SWAP_PARTICIPANTS" }]]);
  await quiet();
});

test("Salesforce asks a third party, goes back, asks again, lets all three talk; and hands over at once", async () => {
  await talks();
  const asking = () => [{}, leg("holding", ["call.complete", "call.cancel", "call.conference"])];
  script.answers["call.consult"] = asking;
  await ask("ADD_PARTICIPANT", { contact: { phoneNumber: "7000" }, call: phone, isBlindTransfer: false });
  const [[, added]] = await heard(page, "salesforce", "PARTICIPANT_ADDED");
  assert.deepEqual([added.phoneNumber, added.initialCallHasEnded, added.callId, last()], ["7000", false, `${CALL}:third`, ["call.consult", { call: CALL, to: "7000" }]]);
  script.answers["call.cancel"] = () => [{}, leg("talking", TALKING)];
  await ask("END_CALL", { call: { callId: `${CALL}:third`, callAttributes: { participantType: "Third_Party" } } });
  const back = await heard(page, "salesforce", "PARTICIPANT_REMOVED");
  assert.deepEqual([...names(back), ...names(await page.evaluate(() => window.salesforce.splice(0)))].sort(), ["HOLD_TOGGLE", "PARTICIPANT_REMOVED"]);

  await ask("ADD_PARTICIPANT", { contact: { phoneNumber: "7001" }, call: phone, isBlindTransfer: false });
  await heard(page, "salesforce", "PARTICIPANT_ADDED");
  script.answers["call.conference"] = () => [{}, leg("talking", ["call.hangup"])];
  await ask("CONFERENCE", { calls: [phone] });
  assert.deepEqual((await heard(page, "salesforce", "HOLD_TOGGLE"))[0][1], { isThirdPartyOnHold: false, isCustomerOnHold: false });
  await quiet();

  script.answers["call.transfer"] = () => [{ code: "unknown-target", message: "these are no digits" }];
  await ask("ADD_PARTICIPANT", { contact: { phoneNumber: "7002" }, call: phone, isBlindTransfer: true });
  assert.deepEqual(names(await heard(page, "salesforce", "ERROR")), ["PARTICIPANT_REMOVED", "ERROR"]);
  script.answers["call.transfer"] = () => [{}, wrapup()];
  await ask("ADD_PARTICIPANT", { contact: { phoneNumber: "7002" }, call: phone, isBlindTransfer: true });
  assert.deepEqual(names(await heard(page, "salesforce", "AFTER_CALL_WORK_STARTED")), ["PARTICIPANT_ADDED", "HANGUP", "AFTER_CALL_WORK_STARTED"]);
});

test("the agent's state goes both ways", async () => {
  script.answers["agent.state"] = ({ state, reason }) => [{}, ["agent.changed", { ...script.agent, state, reason }]];
  await ask("SET_AGENT_STATUS", { agentStatus: "Online", statusInfo: { statusId: "0N5x", statusApiName: "LUNCH", statusName: "Out to lunch" } });
  assert.deepEqual(await heard(page, "salesforce", "SET_AGENT_STATUS_RESULT"), [["SET_AGENT_STATUS_RESULT", { success: true }]]);
  assert.deepEqual(last(), ["agent.state", { state: "not-ready", reason: "lunch" }]);
  assert.deepEqual((await heard(page, "streams", "Available > Lunch")).map(([name]) => name), ["onNotRoutable", "Available > Lunch"]);
  await ask("GET_AGENT_STATUS");
  assert.deepEqual((await heard(page, "salesforce", "GET_AGENT_STATUS_RESULT"))[0][1], { statusId: "lunch", statusType: "not_routable", statusName: "Lunch" });
  // By the page for Streams: Salesforce hears it by the id that it has for it.
  assert.equal(await page.evaluate(() => new Promise((good) => window.agent.setState({ type: "routable", name: "Available" }, { success: () => good("done"), failure: good }))), "done");
  assert.deepEqual(await heard(page, "salesforce", "SET_AGENT_STATUS"), [["SET_AGENT_STATUS", { statusId: "0N5ready" }]]);
  await heard(page, "streams", "Lunch > Available");
  await ask("LOGOUT");
  assert.equal((await heard(page, "salesforce", "LOGOUT_RESULT"))[0][1].success, true);
  assert.deepEqual([last()[1].state, names(await heard(page, "streams", "Available > Offline"))], ["logged-off", ["onOffline", "Available > Offline"]]);
});

test("a call of before is told again when Salesforce is there, and its recording has an address of the daemon", async () => {
  await talks();
  await ask("AGENT_AVAILABLE", { isAvailable: true });
  const [[, again]] = await heard(page, "salesforce", "CALL_CONNECTED");
  assert.deepEqual([again.callId, again.isReplayedCall, again.state], [CALL, true, "connected"]);
  script.answers["recording.link"] = () => [{ link: { url: "/v1/recordings/abc", expires_at: "2026-11-27T05:00:00Z", recording: 0, of: 1 } }];
  await ask("GET_SIGNED_RECORDING_URL", { recordingUrl: "x", vendorCallKey: CALL, callId: "0LQ1" });
  const [[, recording]] = await heard(page, "salesforce", "SIGNED_RECORDING_URL");
  assert.deepEqual([recording.success, recording.url, recording.callId], [true, new URL("/v1/recordings/abc", place.url).href, "0LQ1"]);
  // Another screen took over: this one has no calls, and says so.
  script.say("agent.changed", { ...script.agent, state: "busy", active: false, screens: 2 });
  assert.deepEqual(names(await heard(page, "salesforce", "HANGUP")), ["HANGUP"]);
  // And it is back: a snapshot knows a call that was announced before.
  script.say("snapshot", { agent: { ...script.agent, state: "busy" }, links: [], calls: [{ pop: { ...pop(w, filled(w)), type: "pop" }, state: changed("talking", "talking", { actions: TALKING }), shown: true }] });
  assert.deepEqual(names(await heard(page, "salesforce", "CALL_CONNECTED")), ["CALL_STARTED", "CALL_CONNECTED"]);
});

test("a page for Streams answers, holds, asks a colleague, presses keys, mutes and hangs up", async () => {
  rings();
  await heard(page, "streams", "onConnecting");
  const will = (method, ...all) => page.evaluate(([method, all]) => new Promise((good) => {
    const { contact } = window, on = { success: () => good("done"), failure: (message, data) => good(`${message} (${data.type})`) };
    const [object, name] = method.includes(".") ? [contact[method.split(".")[0]](), method.split(".")[1]] : [contact, method];
    object[name](...all.map((one) => (one.number ? window.connect.Endpoint.byPhoneNumber(one.number) : one)), on);
  }), [method, all]);
  script.answers["call.answer"] = () => [{}, leg("talking", TALKING)];
  assert.equal(await will("accept"), "done");
  const told = await heard(page, "streams", "onConnected");
  assert.deepEqual(names(told).filter((name) => name.startsWith("on")).sort(), ["onAccepted", "onConnected"]);
  script.answers["call.hold"] = () => [{}, leg("holding", ["call.hangup", "call.retrieve"])];
  assert.equal(await will("getInitialConnection.hold"), "done");
  await page.waitForFunction(() => window.contact.getInitialConnection().isOnHold());
  script.answers["call.retrieve"] = () => [{}, leg("talking", TALKING)];
  assert.equal(await will("getInitialConnection.resume"), "done");
  assert.equal(await will("getAgentConnection.sendDigits", "5"), "done");
  assert.deepEqual(last(), ["call.digits", { call: CALL, digits: "5" }]);
  script.answers["call.mute"] = () => [{}, leg("talking", ["call.hangup", "call.unmute"])];
  assert.equal(await will("getAgentConnection.muteParticipant"), "done");
  assert.deepEqual((await heard(page, "streams", "onMuteToggle")).at(-1), ["onMuteToggle", true]);
  assert.ok(await page.evaluate(() => window.contact.getAgentConnection().isMute()));
  script.answers["call.consult"] = () => [{}, leg("holding", ["call.complete", "call.cancel", "call.conference"])];
  assert.equal(await will("addConnection", { number: "7000" }), "done");
  await page.waitForFunction(() => window.contact.getThirdPartyConnections().length === 1);
  assert.deepEqual(await page.evaluate(() => { try { window.contact.getSingleActiveThirdPartyConnection().hold(); return ""; } catch (error) { return error.message; } }), "a third party cannot be held: destroy() goes back to the customer, conferenceConnections() lets all three talk");
  script.answers["call.cancel"] = () => [{}, leg("talking", TALKING)];
  assert.equal(await will("getSingleActiveThirdPartyConnection.destroy"), "done");
  script.answers["call.transfer"] = () => [{ code: "unknown-target", message: "there is no such number" }];
  assert.equal(await will("transfer", { number: "9" }), "there is no such number (unknown-target)");
  const still = await page.evaluate(() => { window.still = window.contact.toSnapshot(); return window.still.getState().type; });
  script.answers["call.hangup"] = () => [{}, wrapup()];
  assert.equal(await will("getAgentConnection.destroy"), "done");
  await heard(page, "streams", "onEnded");
  assert.deepEqual([still, await page.evaluate(() => [window.still.getState().type, window.contact.getState().type])], ["connected", ["connected", "ended"]]);
  script.answers["wrapup.submit"] = () => [{}, leg(null)];
  assert.equal(await will("clear"), "done");
  await heard(page, "streams", "onDestroy");
  assert.equal(await page.evaluate(() => { try { window.contact.getState(); return ""; } catch (error) { return error.message; } }), `there is no contact ${CALL} any more`);

  // What comes after a call.
  rings({ call: SECOND });
  await heard(page, "streams", "onConnecting");
  script.answers["agent.next"] = ({ state, reason }) => [{}, ["agent.changed", { ...script.agent, state: "busy", next: { state, reason } }]];
  assert.equal(await page.evaluate(() => new Promise((good) => window.agent.setState(window.agent.getAgentStates()[1], { success: () => good("done"), failure: good }, { enqueueNextState: true }))), "done");
  await heard(page, "streams", "onEnqueuedNextState");
  assert.deepEqual([last(), await page.evaluate(() => window.agent.getNextState().name)], [["agent.next", { state: "not-ready", reason: "lunch" }], "Lunch"]);
  script.say("agent.changed", { ...script.agent, state: "busy" });
  await heard(page, "streams", "onClearedNextState");
});
