// The SDK in the shape of Salesforce's connector contract for Service Cloud Voice (npm @salesforce/scv-connector-base): a VendorConnector whose calls are
// Linecard's. Salesforce's own library is handed in; nothing of it is here, and it must not be: it takes only objects of its own classes.
//
//   import * as base from "@salesforce/scv-connector-base";
//   base.initializeConnector(new LinecardConnector(new Linecard({ url, token }), base));
//
// COVERED says what of the contract is there; docs/sdk.md shows it. What is not there rejects, and says what to use.
import { asked, live, moves, muted, refuses, rows } from "./moves.js";

/** Of which version of the contract COVERED speaks. */
export const CONTRACT = "@salesforce/scv-connector-base 3.6.2";

const DESK = "on the agent's desk, or by the SDK";
const STATS = "the voice does not go through the page; the switch has these figures";
const SUPERVISOR = 'supervisors use the board, or linecard.request("call.listen", { agent }) and "call.barge"';

/** Every method of a VendorConnector and every event type. */
export const COVERED = [
  ...rows("yes", "", {
    "init getActiveCalls acceptCall declineCall hold resume mute unmute dial sendDigits conference wrapUpCall logout getCapabilities getAgentStatus pauseRecording resumeRecording": "",
    downloadLogs: "the library's own",
    logMessageToVendor: "kept nowhere; the library has its own log",
    getSignedRecordingUrl: "where the switch records and the call is over",
  }),
  ...rows("partly", "", {
    endCall: "of Agent: who asked a colleague leaves the customer with them; of Third_Party: back to the customer; the customer cannot be put out alone",
    addParticipant: "one at a time; a contact needs a phoneNumber",
    setAgentStatus: "by the connector's `statuses`, else Online is ready, Offline logged off, and an API name that is a reason of not ready is that",
    getPhoneContacts: "whatever the connector's `contacts` gives",
    getAgentConfig: "one desk phone: Linecard knows the agent's phone, and the voice goes there",
    setAgentConfig: "only that desk phone can be selected",
    handleMessage: "goes to the connector's `message`",
  }),
  ...rows("no", "", {
    swap: "the customer waits while a colleague is asked: end the third party's part, or conference",
    "superviseCall supervisorDisconnect supervisorBargeIn": SUPERVISOR,
  }),
  ...rows("yes", "", {
    "CALL_STARTED CALL_CONNECTED HANGUP MUTE_TOGGLE HOLD_TOGGLE RECORDING_TOGGLE PARTICIPANT_ADDED PARTICIPANT_CONNECTED PARTICIPANT_REMOVED AFTER_CALL_WORK_STARTED WRAP_UP_ENDED": "",
    "LOGIN_RESULT LOGOUT_RESULT": "told by the library itself where `init` and `logout` were asked; the agent signs in by a token",
    PARTICIPANTS_CONFERENCED: "after `conference` told by the library itself",
    AGENT_ERROR: "the daemon does not take the token any more",
  }),
  ...rows("partly", "", {
    SET_AGENT_STATUS: "a state that came from the switch or the desk, where `statuses` has its id",
    MESSAGE: "base.publishEvent is the page's to call",
  }),
  ...rows("no", "", {
    QUEUED_CALL_STARTED: "callbacks wait in callback.list and are dialled",
    PARTICIPANTS_SWAPPED: "see swap",
    "SUPERVISOR_BARGED_IN SUPERVISOR_CALL_STARTED SUPERVISOR_CALL_CONNECTED SUPERVISOR_HANGUP": SUPERVISOR,
    SOFTPHONE_ERROR: "there is no softphone in the page",
    UPDATE_AUDIO_STATS: STATS,
    "GET_AGENT_STATUS STATE_CHANGE": "Salesforce's own use only; hear `agent` of the SDK",
  }),
];

/** A third party's part has an id of its own. */
const THIRD = ":third";
const TYPES = { inbound: "Inbound", outbound: "Outbound", transfer: "Transfer", consult: "Transfer", internal: "InternalCall" };
const ROUTING = { ready: "routable", "not-ready": "not_routable", "logged-off": "offline" };
/** Codes of Linecard that say that the number is wrong. */
const DESTINATION = ["unknown-target", "not-dialable", "blocked-number", "bad-request"];
const NEEDS = ["publishEvent", "publishError", "VendorConnector", "PhoneCall", "CallInfo", "AgentVendorStatusInfo"];

/** The library tells people by an error's `type`. */
const typed = (type, error) => Object.assign(error instanceof Error ? error : new Error(error), { type });

export class LinecardConnector {
  #linecard; #base; #options; #stop; #line = Promise.resolve(); #waits = new Set(); #seen = new Map(); #ids = new Map(); #closing = new Set(); #busy = new Set(); #mine = new Set(); #dialling; #asked = new Map(); #state; #ready = false;

  constructor(linecard, base, options = {}) {
    const missing = NEEDS.filter((name) => typeof base[name] !== "function");
    if (missing.length) throw new Error(`this is not the library of ${CONTRACT}, or one too old: it has no ${missing.join(", ")}`);
    this.#linecard = linecard;
    this.#base = base;
    this.#options = options;
  }

  // What Salesforce asks.

  async init() {
    this.#stop?.();
    this.#ready = false;
    await this.#linecard.connect();
    const ends = [
      moves(this.#linecard, { began: (call) => this.#began(call), moved: (call, was) => this.#moved(call, was), changed: (call) => this.#changed(call), gone: (call, why, was) => this.#gone(call, was) }),
      this.#linecard.on("agent", () => this.#told()),
      this.#linecard.on("refused", (why) => this.#base.publishError({ eventType: "AGENT_ERROR", error: new Error(`the daemon does not take the token (${why})`) })),
    ];
    this.#state = this.#status()?.id;
    this.#stop = () => { for (const end of ends) end(); };
    // Calls of before are told when Salesforce asks for the active ones.
    this.#ready = true;
    return new this.#base.InitResult({ showLogin: false });
  }

  async getActiveCalls() {
    const activeCalls = [];
    for (const call of this.#linecard.calls.filter(live)) {
      activeCalls.push(await this.#phone(call));
      if (asked(call, this.#linecard.me?.id)) activeCalls.push(await this.#third(call));
    }
    return new this.#base.ActiveCallsResult({ activeCalls });
  }

  async acceptCall(phone) {
    const call = this.#of(phone);
    await this.#until(call, ["talking"], () => call.answer());
    return this.#result(call);
  }
  async declineCall(phone) {
    const call = this.#of(phone);
    await this.#until(call, ["gone", "wrapup"], () => call.hangup());
    return this.#result(call, "ended");
  }
  async endCall(phone) {
    const call = this.#of(phone);
    const kind = phone?.callAttributes?.participantType;
    if (kind === "Third_Party" || phone?.callId?.endsWith(THIRD)) {
      const calls = [await this.#third(call, "ended")];
      await this.#quietly(call, { third: undefined }, () => call.cancel());
      return new this.#base.HangupResult({ calls });
    }
    const asking = asked(call, this.#linecard.me?.id);
    if (asking && kind === "Initial_Caller") throw typed("INVALID_PARTICIPANT", "the customer cannot be put out alone: end the third party's part first");
    await this.#until(call, ["gone", "wrapup"], () => (asking ? call.complete() : call.hangup()));
    return new this.#base.HangupResult({ calls: [await this.#phone(call, "ended")] });
  }

  async hold(phone) {
    const call = this.#of(phone);
    await this.#until(call, ["holding"], () => call.hold());
    return this.#held(call);
  }
  async resume(phone) {
    const call = this.#of(phone);
    await this.#until(call, ["talking"], () => call.retrieve());
    return this.#held(call);
  }
  mute() { return this.#mute(true); }
  unmute() { return this.#mute(false); }
  async #mute(muted) {
    const call = this.#of();
    await this.#quietly(call, { muted }, () => (muted ? call.mute() : call.unmute()));
    return new this.#base.MuteToggleResult({ isMuted: muted });
  }
  pauseRecording(phone) { return this.#record(phone, true); }
  resumeRecording(phone) { return this.#record(phone, false); }
  async #record(phone, paused) {
    const call = this.#of(phone);
    await this.#quietly(call, { paused }, () => this.#linecard.request(paused ? "call.record.pause" : "call.record.resume", { call: call.id }));
    return new this.#base.RecordingToggleResult({ isRecordingPaused: paused });
  }

  async sendDigits(digits) { await this.#of().digits(digits); }

  async dial(contact) {
    const number = `${contact.prefix ?? ""}${contact.phoneNumber ?? ""}`;
    if (!number) throw typed("INVALID_DESTINATION", "the contact has no phoneNumber");
    // Its pop may come before its answer, and Salesforce hears of it by our result alone.
    const asked = this.#linecard.dial(number).then((done) => { this.#mine.add(done.call); return done.call; });
    this.#dialling = asked.catch(() => {});
    const id = await asked.catch((error) => { throw DESTINATION.includes(error.code) ? typed("INVALID_DESTINATION", error) : error; });
    const call = this.#linecard.call(id) ?? (await this.#wait(id, ["dialling", "ringing", "talking"]));
    return this.#result(call);
  }

  async addParticipant(contact, phone, isBlindTransfer) {
    const call = this.#of(phone);
    const number = `${contact.prefix ?? ""}${contact.phoneNumber ?? ""}`;
    if (!number) throw typed("INVALID_DESTINATION", "the contact has no phoneNumber");
    const wrong = (error) => { throw DESTINATION.includes(error.code) ? typed("INVALID_DESTINATION", error) : error; };
    const { callInfo } = await this.#phone(call);
    if (isBlindTransfer) {
      await this.#until(call, ["gone", "wrapup"], () => call.transfer(number)).catch(wrong);
    } else {
      this.#asked.set(call.id, number);
      await this.#quietly(call, { third: "added" }, () => this.#until(call, ["holding"], () => call.consult(number))).catch(wrong);
    }
    return new this.#base.ParticipantResult({ initialCallHasEnded: false, callInfo, phoneNumber: number, callId: call.id + THIRD });
  }
  async conference(phones) {
    const call = this.#of(phones?.[0]);
    await this.#quietly(call, { third: "conference" }, () => this.#until(call, ["talking"], () => call.conference()));
    return new this.#base.HoldToggleResult({ isThirdPartyOnHold: false, isCustomerOnHold: false });
  }

  /** @param {{ statusId?: string, statusApiName?: string, statusName?: string }} statusInfo */
  async setAgentStatus(agentStatus, statusInfo = {}, enqueueNextState = false) {
    const one = this.#meant(agentStatus, statusInfo);
    if (one.state === "working-after-call") {
      if (this.#linecard.agent.state !== one.state) throw typed("INVALID_AGENT_STATUS", "work after a call begins with its end");
    } else if (enqueueNextState) await this.#linecard.next(one.state, one.reason);
    else if (one.state === "ready") await this.#linecard.ready();
    else if (one.state === "not-ready") await this.#linecard.notReady(one.reason);
    else await this.#linecard.logOff();
    if (one.id) this.#state = one.id;
    return new this.#base.GenericResult({ success: true });
  }
  /** @param {{ statusId?: string, statusApiName?: string, statusName?: string }} info */
  #meant(agentStatus, info) {
    const { statusId, statusApiName, statusName } = info;
    const listed = (this.#options.statuses ?? []).find(({ id }) => id && id === statusId);
    if (listed) return listed;
    const named = [statusApiName, statusName].filter(Boolean).map((name) => name.toLowerCase());
    const reason = this.#linecard.reasons.find(({ id, label }) => named.includes(id.toLowerCase()) || (label && named.includes(label.toLowerCase())));
    if (reason) return { state: "not-ready", reason: reason.id };
    const state = { online: "ready", offline: "logged-off", aftercallwork: "working-after-call" }[String(agentStatus).toLowerCase()];
    if (!state) throw typed("INVALID_AGENT_STATUS", `${agentStatus} is none of Online, Offline and AfterCallWork, nor in the connector's statuses, nor one of ${this.#linecard.reasons.map(({ id }) => id).join(", ")}`);
    return { state };
  }
  async getAgentStatus() {
    const { state, reason } = this.#linecard.agent;
    const statusName = this.#linecard.reasons.find(({ id }) => id === reason)?.label ?? reason ?? state;
    return new this.#base.AgentVendorStatusInfo({ statusId: this.#status()?.id ?? reason ?? state, statusType: ROUTING[state] ?? "system", statusName });
  }

  async getPhoneContacts(filter) {
    if (!this.#options.contacts) throw new Error("Linecard has no list of contacts: give the connector `contacts`, which answers them");
    const { Contact, PhoneContactsResult } = this.#base;
    const contacts = (await this.#options.contacts(filter)).map((one) => new Contact(one));
    return new PhoneContactsResult({ contacts, contactTypes: [...new Set(contacts.map(({ type }) => type).filter(Boolean))] });
  }

  async getAgentConfig() {
    const phone = new this.#base.Phone({ type: "DESK_PHONE" });
    return new this.#base.AgentConfigResult({ phones: [phone], selectedPhone: phone });
  }
  async setAgentConfig(config) {
    if (config?.selectedPhone?.type !== "DESK_PHONE") throw typed("CAN_NOT_UPDATE_PHONE_NUMBER", "the agent's phone is the one of the daemon's agents.yaml, a desk phone");
    return new this.#base.GenericResult({ success: true });
  }
  async getCapabilities() {
    // What a switch can do is told with each call: its callInfo has it.
    const { contacts } = this.#options;
    return new this.#base.CapabilitiesResult({
      hasMute: true, hasRecord: true, hasMerge: true, hasSwap: false, hasSignedRecordingUrl: true, debugEnabled: false, hasContactSearch: Boolean(contacts), hasPhoneBook: Boolean(contacts),
      hasBlindTransfer: true, hasPendingStatusChange: true,
    });
  }

  async logout() {
    await this.#linecard.logOff();
    return new this.#base.LogoutResult({ success: true });
  }
  handleMessage(message) {
    if (!this.#options.message) throw new Error("nobody hears messages of Salesforce's components: give the connector `message`");
    return this.#options.message(message);
  }
  /** The library does not look at what becomes of it; its log does. */
  async wrapUpCall(phone) {
    try {
      const call = this.#of(phone);
      this.#closing.add(call.id);
      await call.wrapup();
    } catch (error) { this.#base.publishLog({ eventType: "WRAP_UP_CALL", payload: { message: error.message }, isError: true }); }
  }
  async getSignedRecordingUrl(recordingUrl, vendorCallKey, callId) {
    const { link } = await this.#linecard.request("recording.link", { call: vendorCallKey });
    return new this.#base.SignedRecordingUrlResult({ success: true, url: new URL(link.url, this.#linecard.url).href, callId });
  }
  downloadLogs(logs) { this.#base.VendorConnector.prototype.downloadLogs.call(this, logs); }
  logMessageToVendor() {}

  // What Salesforce is told.

  #began(call) {
    this.#look(call);
    const { phase } = call;
    for (const wait of this.#waits) if (wait.id === call.id && wait.phases.includes(phase)) wait.good(call);
    if (!this.#ready || !live(call)) return;
    const [dialled, started, connected] = [this.#dialling, this.#phone(call, "ringing"), ["talking", "holding"].includes(phase) && this.#phone(call)];
    this.#say(async () => {
      if (call.pop.origin === "click-to-dial") await dialled;
      if (!this.#mine.delete(call.id)) await this.#publish("CALL_STARTED", new this.#base.CallResult({ call: await started }));
      if (connected) await this.#publish("CALL_CONNECTED", new this.#base.CallResult({ call: await connected }));
    });
  }

  #moved(call, was) {
    const { phase } = call;
    const ours = this.#reached(call, phase);
    const { CallResult, HangupResult } = this.#base;
    if (phase === "wrapup") {
      if (!ours) this.#tell("HANGUP", this.#phone(call, "ended"), (calls) => new HangupResult({ calls }));
      // The library tells HANGUP after our answer, and that comes first.
      const work = () => this.#say(() => this.#publish("AFTER_CALL_WORK_STARTED", { callId: call.id }));
      ours ? setTimeout(work) : work();
    } else if (!ours && phase === "talking" && was !== "holding") this.#tell("CALL_CONNECTED", this.#phone(call), (one) => new CallResult({ call: one }));
    else if (!ours && live(call) && [was, phase].includes("holding")) this.#tell("HOLD_TOGGLE", this.#held(call), (held) => held);
  }

  /** What shows in a call beside its phase. */
  #changed(call) {
    if (this.#busy.has(call.id)) return;
    const before = this.#seen.get(call.id), now = this.#look(call);
    if (!before || !live(call)) return;
    const { MuteToggleResult, RecordingToggleResult, ParticipantResult, CallResult, HoldToggleResult } = this.#base;
    if (before.muted !== now.muted && call.phase === "talking") this.#say(() => this.#publish("MUTE_TOGGLE", new MuteToggleResult({ isMuted: now.muted })));
    if (before.paused !== now.paused && call.phase === "talking") this.#say(() => this.#publish("RECORDING_TOGGLE", new RecordingToggleResult({ isRecordingPaused: now.paused })));
    if (before.third === now.third) return;
    if (now.third === "conference") this.#say(() => this.#publish("PARTICIPANTS_CONFERENCED", new HoldToggleResult({ isThirdPartyOnHold: false, isCustomerOnHold: false })));
    else if (now.third) {
      const phoneNumber = this.#asked.get(call.id) ?? asked(call, this.#linecard.me?.id)?.name ?? "";
      const result = async () => new ParticipantResult({ initialCallHasEnded: false, callInfo: (await this.#phone(call)).callInfo, phoneNumber, callId: call.id + THIRD });
      if (!before.third && now.third === "connected") this.#tell("PARTICIPANT_ADDED", result(), (one) => one);
      this.#tell(now.third === "connected" ? "PARTICIPANT_CONNECTED" : "PARTICIPANT_ADDED", result(), (one) => one);
    } else this.#tell("PARTICIPANT_REMOVED", this.#third(call, "ended"), (one) => new CallResult({ call: one }));
  }
  #look(call) {
    const before = this.#seen.get(call.id) ?? {}, me = this.#linecard.me?.id, one = asked(call, me);
    // All three talk: who was asked is still there. Of a number that is no colleague's nothing is seen but that we asked for it.
    const joined = call.phase === "talking" && before.third && (before.third === "conference" || call.state.agents.some(({ agent }) => agent !== me));
    const now = {
      muted: muted(call, before.muted),
      paused: call.can("record.resume") || (before.paused === true && !call.can("record.pause")),
      third: one ? (one.talks ? "connected" : before.third ?? "added") : joined ? "conference" : undefined,
    };
    this.#seen.set(call.id, now);
    return now;
  }

  #gone(call, was) {
    const ours = this.#reached(call, "gone");
    for (const wait of this.#waits) if (wait.id === call.id) wait.bad(new Error("the call is over"));
    if (was === "wrapup") { if (!this.#closing.has(call.id)) this.#say(() => this.#publish("WRAP_UP_ENDED", { callId: call.id })); }
    else if (was !== "ended" && !ours) this.#tell("HANGUP", this.#phone(call, "ended"), (calls) => new this.#base.HangupResult({ calls }));
    for (const kept of [this.#seen, this.#asked, this.#closing]) kept.delete(call.id);
    this.#line.then(() => this.#ids.delete(call.id));
  }

  #status() {
    const { state, reason } = this.#linecard.agent;
    const fits = (this.#options.statuses ?? []).filter((one) => one.state === state);
    return fits.find((one) => one.reason === (reason ?? undefined)) ?? fits.find((one) => !one.reason);
  }
  #told() {
    const id = this.#status()?.id;
    if (id === this.#state) return;
    this.#state = id;
    if (id) this.#say(() => this.#publish("SET_AGENT_STATUS", new this.#base.AgentStatusInfo({ statusId: id })));
  }

  /** One after another, however long an id of Salesforce takes. */
  #say(what) { this.#line = this.#line.then(what).catch((error) => reportError(error)); }
  #tell(eventType, made, payload) {
    made.catch(() => {});
    this.#say(async () => this.#publish(eventType, payload(await made)));
  }
  #publish(eventType, payload) { return this.#base.publishEvent({ eventType, payload }); }

  // From Linecard's calls to Salesforce's, and back.

  /** Salesforce's call is ours; without one, the call that is up. */
  #of(phone) {
    const id = phone?.callId?.replace(THIRD, "");
    const call = id ? this.#linecard.call(id) : this.#linecard.calls.find((one) => one.phase === "talking") ?? this.#linecard.calls.find(live);
    if (!call) throw typed("INVALID_PARTICIPANT", id ? `there is no call ${id} on this screen` : "no call is up");
    return call;
  }

  async #voiceCall(call) {
    // A call without its id of Salesforce is better than none.
    const ask = async () => this.#options.voiceCallId?.(call);
    if (!this.#ids.has(call.id)) this.#ids.set(call.id, ask().catch((error) => reportError(error)));
    return (await this.#ids.get(call.id)) ?? undefined;
  }

  /** As it is now, whenever its id of Salesforce comes. */
  async #phone(call, state) {
    const { PhoneCall, PhoneCallAttributes, CallInfo, Contact } = this.#base;
    const { pop, phase } = call, can = (...verbs) => verbs.some((verb) => call.can(verb));
    const seen = this.#seen.get(call.id) ?? {}, date = (text) => (text ? new Date(text) : undefined);
    const phoneNumber = pop.number?.e164 ?? pop.number?.display ?? undefined;
    const callInfo = new CallInfo({
      callStateTimestamp: date(call.state.since), isOnHold: phase === "holding", isMuted: seen.muted ?? false, isRecordingPaused: seen.paused ?? false, initialCallId: call.id,
      queueId: pop.queue?.id, queueName: pop.queue?.label, queueTimestamp: date(pop.waited_since), isSoftphoneCall: false,
      acceptEnabled: can("answer"), declineEnabled: phase === "ringing" && can("hangup"), muteEnabled: can("mute", "unmute"), swapEnabled: false, conferenceEnabled: can("conference"),
      holdEnabled: can("hold", "retrieve"), recordEnabled: can("record.pause", "record.resume"), addCallerEnabled: can("consult"), extensionEnabled: can("digits"), showSwapButton: false,
    });
    const made = {
      callId: call.id, callType: TYPES[call.state.role], state: state ?? (live(call) ? (["talking", "holding"].includes(phase) ? "connected" : "ringing") : "ended"), phoneNumber, callInfo,
      contact: new Contact({ phoneNumber, name: call.name }), reason: state === "ended" ? "ended" : undefined,
    };
    const attributes = { participantType: "Initial_Caller", isOnHold: phase === "holding" };
    const voiceCallId = await this.#voiceCall(call);
    return new PhoneCall({ ...made, callAttributes: new PhoneCallAttributes({ ...attributes, voiceCallId }) });
  }
  async #third(call, state) {
    const { PhoneCall, PhoneCallAttributes, CallInfo, Contact } = this.#base, one = asked(call, this.#linecard.me?.id);
    const phoneNumber = this.#asked.get(call.id), voiceCallId = await this.#voiceCall(call);
    return new PhoneCall({
      callId: call.id + THIRD, callType: "AddParticipant", state: state ?? (one?.talks ? "transferred" : "transferring"), phoneNumber, contact: new Contact({ phoneNumber, name: one?.name }),
      callInfo: new CallInfo({ isOnHold: false, initialCallId: call.id, isSoftphoneCall: false, swapEnabled: false, showSwapButton: false, conferenceEnabled: call.can("conference") }),
      callAttributes: new PhoneCallAttributes({ voiceCallId, participantType: "Third_Party", parentId: call.id }), reason: state === "ended" ? "ended" : undefined,
    });
  }
  async #result(call, state) { return new this.#base.CallResult({ call: await this.#phone(call, state) }); }
  async #held(call) {
    const isCustomerOnHold = call.phase === "holding";
    return new this.#base.HoldToggleResult({ isThirdPartyOnHold: false, isCustomerOnHold, calls: [await this.#phone(call)] });
  }

  // What was asked here is answered when the call is there; the library tells Salesforce by that answer, and nothing is told twice.

  #wait(id, phases) {
    let wait;
    const there = new Promise((good, bad) => { wait = { id, phases, good, bad }; this.#waits.add(wait); });
    there.catch(() => {});
    return there.finally(() => this.#waits.delete(wait));
  }
  async #until(call, phases, ask) {
    if (phases.includes(call.phase)) return;
    const there = this.#wait(call.id, phases);
    there.catch(() => {});
    try { await ask(); } catch (error) {
      for (const wait of this.#waits) if (wait.id === call.id && wait.phases === phases) this.#waits.delete(wait);
      throw error;
    }
    await there;
  }
  #reached(call, phase) {
    const there = [...this.#waits].filter((wait) => wait.id === call.id && wait.phases.includes(phase));
    for (const wait of there) { this.#waits.delete(wait); wait.good(call); }
    return there.length > 0;
  }
  /** `what` will show in the call; whoever asked for it knows. */
  async #quietly(call, what, ask) {
    const before = { ...this.#seen.get(call.id) };
    this.#busy.add(call.id);
    this.#seen.set(call.id, { ...before, ...what });
    try { await ask(); } catch (error) { this.#seen.set(call.id, before); throw error; } finally { this.#busy.delete(call.id); }
  }
}
refuses(LinecardConnector.prototype, COVERED, undefined, "connector for Salesforce", true);
