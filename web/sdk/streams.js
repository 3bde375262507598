// The SDK in the shape of Amazon Connect Streams' basic objects (npm amazon-connect-streams), for pages that were written for it: calls are Linecard's, and
// nothing of Amazon's library is here.
//
//   globalThis.connect = streams(new Linecard({ url, token }));
//   connect.contact((contact) => contact.onConnecting(() => show(contact.getCustomerEndpoint()?.phoneNumber)));
//   connect.core.initCCP(null, {});
//
// COVERED says what of the contract is there; docs/sdk.md shows it. What is not there throws, and says what to use.
import { asked, live, moves, muted, refuses, rows } from "./moves.js";

/** Of which version of the contract COVERED speaks. */
export const CONTRACT = "amazon-connect-streams 2.28.2";

const PHONE = "the voice is on the agent's phone, not in the page";
const DEVICES = `never told: ${PHONE}`;
const SUPERVISOR = 'supervisors use the board, or linecard.request("call.listen", { agent }) and "call.barge"';
const VOICES = "there are voice calls only";
const OTHERS = "of Streams' own iframes and workers, which are not there";

/** Every public method of the contract, by its object. */
export const COVERED = [
  ...rows("yes", "connect", { "agent contact hitch": "" }),
  ...rows("partly", "connect", { onWebsocketInitFailure: "never told: core.onAuthFail and the SDK's `refused` tell it", getLog: "writes to the console; `download` writes nothing" }),
  ...rows("no", "connect", { sendActivity: "the agent's session is the token's, which the SDK renews" }),
  ...rows("yes", "core", { "onInitialized onAuthFail onAuthorizeSuccess viewContact onViewContact getEventBus terminate": "" }),
  ...rows("partly", "core", {
    initCCP: "connects the Linecard, which says where and with which token; options are not looked at, and nothing is put into the container: `<linecard-panel>` is the desk",
    "onAccessDenied onIframeRetriesExhausted onCTIAuthorizeRetriesExhausted onAuthorizeRetriesExhausted": "never told: core.onAuthFail is",
    onSoftphoneSessionInit: DEVICES,
  }),
  ...rows("no", "core", { "getWebSocketManager getSDKClientConfig": 'the SDK\'s linecard.request() and linecard.on("frame")', getFrameMediaDevices: PHONE }),
  ...rows("yes", "Agent", {
    "onRefresh onStateChange onRoutable onNotRoutable onOffline onAfterCallWork onMuteToggle onEnqueuedNextState onClearedNextState onWebSocketConnectionLost onWebSocketConnectionGained onNetworkConnectionStatusChanged": "",
    "getNetworkConnectionStatus getState getStatus getNextState getAvailabilityState getStateDuration getStatusDuration getContacts getAgentStates getName getAllQueueARNs isSoftphoneEnabled": "",
    "setState setStatus connect mute unmute toSnapshot": "",
  }),
  ...rows("partly", "Agent", {
    onError: "never told: an agent has no error states here",
    "onSoftphoneError onLocalMediaStreamCreated onSpeakerDeviceChanged onMicrophoneDeviceChanged onRingerDeviceChanged onCameraDeviceChanged onBackgroundBlurChanged onVoiceEnhancementModeChanged": DEVICES,
    getPermissions: "outboundCall; the daemon says with each call what may be done",
    getConfiguration: "no dialable countries, no softphone, no preferences",
    getRoutingProfile: "its queues are those that the agent may log in to, or is in",
    getChannelConcurrency: "one voice call",
    getAgentARN: "the agent's id",
    getExtension: "the device of the agent's seat; empty for who sits fixed",
  }),
  ...rows("no", "Agent", {
    "setConfiguration setSpeakerDevice setMicrophoneDevice setRingerDevice setCameraDevice setBackgroundBlur getVoiceEnhancementMode setVoiceEnhancementMode": PHONE,
    getDialableCountries: "dial: the daemon refuses a number that may not be dialled, and says why",
    "getEndpoints getAddresses": "Endpoint.byPhoneNumber: there is no list of contacts",
    createTask: "call.wrapup({ ticket: true }), or flow.start",
  }),
  ...rows("yes", "Contact", {
    "onRefresh onConnecting onAccepted onConnected onEnded onDestroy onACW": "",
    "getEventName getContactId getType getState getStatus getStateDuration getStatusDuration getContactDuration getQueue getQueueTimestamp getInitiationMethod getCustomerEndpoint getConnectSystemEndpoint getAttributes": "",
    "getConnections getInitialConnection getActiveInitialConnection getThirdPartyConnections getSingleActiveThirdPartyConnection getAgentConnection getActiveConnections hasTwoActiveParticipants": "",
    "isInbound isConnected isSoftphoneCall accept reject addConnection addParticipant transfer conferenceConnections clear complete toSnapshot": "",
    "isCustomerFirstCallback isCampaignPreview isPreviewMode isUnderSupervision isAutoAcceptEnabled isMultiPartyConferenceEnabled": "false: there is none",
    "hasVideoRTCCapabilities hasScreenShareCapability canAgentSendVideo canAgentReceiveVideo canAgentSendScreenShare canCustomerSendScreenShare": "false: there is no video",
  }),
  ...rows("partly", "Contact", {
    "onIncoming onPending": "never told: a call rings by onConnecting, as Streams has it, and callbacks are dialled",
    onMissed: "nobody answered, the caller left or the agent declined; not where a colleague answered",
    onError: "never told: what fails is told to `failure`",
    "onScreenSharingStarted onScreenSharingStopped onScreenSharingError": "never told: there is no video",
    "getOriginalContactId getInitialContactId": "the call's own id, which a transfer keeps",
    "getName getDescription": "the title of the line that was called; the name that the switch showed",
    "getRelatedContactId getContactAssociationId getContactSubtype getChannelContext": "empty",
    "getSegmentAttributes getContactFeatures getContactMetadata": "empty; the SDK's call.card has what is known",
    getReferences: "the page to open for the call, where the line has one",
    destroy: "does nothing, as in Streams: the connection's destroy hangs up",
  }),
  ...rows("no", "Contact", {
    toggleActiveConnections: "destroy the third party's connection, or conferenceConnections",
    notifyIssue: "call.note() of the SDK",
    "sendSoftphoneMetrics sendSoftphoneReport": PHONE,
    "silentMonitor bargeIn updateMonitorParticipantState": SUPERVISOR,
    "pause resume engagePreviewContact getPreviewConfiguration": VOICES,
    "startScreenSharing stopScreenSharing": "there is no video",
    getInstanceDetails: "linecard.url",
  }),
  ...rows("yes", "BaseConnection", {
    "getContactId getConnectionId getEndpoint getAddress getState getStatus getStateDuration getStatusDuration getType isInitialConnection isActive isConnected isConnecting isOnHold sendDigits toSnapshot": "",
    "getSoftphoneMediaInfo getMonitorInfo": "empty: there is none",
  }),
  ...rows("partly", "BaseConnection", {
    destroy: "of the agent and of the customer: hangs up; of a third party: back to the customer",
    "hold resume": "of the customer or the agent; a third party cannot be held",
  }),
  ...rows("yes", "VoiceConnection", {
    "isSilentMonitor isBarge isSilentMonitorEnabled isBargeEnabled isForcedMute canSendVideo canSendScreenShare": "false: there is none",
    "getMonitorCapabilities getMonitorStatus getQuickConnectName getCapabilities": "empty",
    getMediaType: "softphone, as Streams says of every voice call",
    getMediaInfo: "empty: there is no softphone",
  }),
  ...rows("partly", "VoiceConnection", {
    "isMute muteParticipant unmuteParticipant": "of the agent",
    "onParticipantHold onParticipantResume": "of the customer",
    canResumeParticipant: "whether the customer waits",
    onCanResumeParticipantUpdated: "never told: onParticipantHold and onParticipantResume are",
  }),
  ...rows("no", "VoiceConnection", {
    "getMediaController getVideoConnectionInfo": PHONE,
    "getVoiceIdSpeakerId getVoiceIdSpeakerStatus optOutVoiceIdSpeaker deleteVoiceIdSpeaker deleteVoiceIdSpeakerId evaluateSpeakerWithVoiceId enrollSpeakerInVoiceId updateVoiceIdSpeakerId": "there is no voice ID; call.customer says who calls",
  }),
  ...rows("yes", "Endpoint", { "byPhoneNumber stripPhoneNumber": "" }),
  ...rows("no", "", { "ChatConnection.* TaskConnection.* EmailConnection.* QuickResponses.*": VOICES }),
  ...rows("no", "", { "SoftphoneError.*": PHONE }),
  ...rows("no", "", { "agentApp.* globalResiliency.* storageAccess.* SessionExpirationWarningManager.*": OTHERS }),
  ...rows("no", "", { "Stream.* NullStream.* WindowStream.* WindowIOStream.* PortStream.* StreamMultiplexer.* Conduit.* IFrameConduit.* GRProxyIframeConduit.*": OTHERS }),
];

const upper = (words) => Object.fromEntries(words.split(" ").map((word) => [word.toUpperCase(), word]));
const within = (of, words) => Object.fromEntries(words.split(" ").map((word) => [word.toUpperCase(), `${of}::${word}`]));
/** Streams' own words, as its library has them. */
export const ENUMS = {
  AgentStateType: upper("init routable not_routable offline system error"),
  AgentAvailStates: { INIT: "Init", BUSY: "Busy", AFTER_CALL_WORK: "AfterCallWork", CALLING_CUSTOMER: "CallingCustomer", DIALING: "Dialing", JOINING: "Joining", PENDING_AVAILABLE: "PendingAvailable", PENDING_BUSY: "PendingBusy" },
  AgentEvents: within("agent", "init update refresh routable not_routable pending contact_pending offline error softphone_error websocket_connection_lost websocket_connection_gained state_change acw mute_toggle local_media_stream_created enqueued_next_state cleared_next_state"),
  ContactEvents: within("contact", "init refresh destroyed incoming pending connecting connected missed acw view ended error accepted"),
  ContactStateType: upper("init incoming pending connecting connected missed error ended rejected paused"),
  CONTACT_ACTIVE_STATES: upper("paused incoming pending connecting connected"),
  ContactType: upper("voice queue_callback chat task email"),
  ConnectionType: upper("agent inbound outbound monitoring"),
  ConnectionStateType: upper("init connecting connected hold disconnected silent_monitor barge"),
  EndpointType: upper("phone_number agent queue"),
  ChannelType: { VOICE: "VOICE", CHAT: "CHAT", TASK: "TASK" },
  MediaType: upper("softphone chat task email"),
  ContactInitiationMethod: upper("inbound outbound transfer queue_transfer callback api disconnect webrtc_api agent_reply campaign_preview external_outbound monitor flow callback_customer_first_queued callback_customer_first_dialed"),
  EventType: upper("init auth_fail access_denied authorize_success terminate terminated"),
  AgentPermissions: { OUTBOUND_CALL: "outboundCall", VOICE_ID: "voiceId" },
};
const { AgentEvents, ContactEvents, EventType } = ENUMS;
const NETWORK = "linecard::network";

class Bus {
  #by = new Map(); #all = new Set();
  subscribe(name, listener) {
    if (typeof listener !== "function") throw new Error("a listener is a function");
    const of = this.#by.get(name) ?? new Set();
    this.#by.set(name, of.add(listener));
    return { unsubscribe: () => { of.delete(listener); } };
  }
  subscribeAll(listener) {
    this.#all.add(listener);
    return { unsubscribe: () => { this.#all.delete(listener); } };
  }
  /** One that throws takes no other along. */
  trigger(name, data) {
    for (const listener of [...(this.#by.get(name) ?? []), ...this.#all]) {
      try { listener(data, name, this); } catch (error) { reportError(error); }
    }
  }
  unsubscribeAll() { this.#by.clear(); this.#all.clear(); }
  /** @internal */
  _forget(ending) { for (const name of this.#by.keys()) if (name.endsWith(ending)) this.#by.delete(name); }
}

/**
 * Streams has callbacks where the SDK has promises: `failure` hears what went wrong, in words, and the code.
 * @param {Promise<unknown>} promise
 * @param {{ success?: (data: object) => void, failure?: (message: string, data: object) => void }} [callbacks]
 */
function tell(promise, { success, failure } = {}) {
  promise.then(() => success?.({}), (error) => (failure ? failure(error.message, { type: error.code }) : reportError(error)));
}

// States of the agent.

const states = ({ reasons }) => [
  { agentStateARN: "ready", type: "routable", name: "Available" },
  ...(reasons.length ? reasons : [{ id: "", label: "Unavailable" }]).map(({ id, label }) => ({ agentStateARN: `not-ready/${id}`, type: "not_routable", name: label ?? id })),
  { agentStateARN: "logged-off", type: "offline", name: "Offline" },
];
function stated(from, { state, reason, since }) {
  const startTimestamp = new Date(since ?? from.now());
  if (state === "busy" || state === "working-after-call") {
    const has = (phase) => from.calls.some((call) => call.phase === phase);
    const name = state !== "busy" ? "AfterCallWork" : has("talking") || has("holding") ? "Busy" : has("dialling") ? "CallingCustomer" : has("ringing") ? "PendingBusy" : "Busy";
    return { agentStateARN: null, type: "system", name, startTimestamp };
  }
  const arn = state === "not-ready" ? `not-ready/${reason ?? ""}` : state;
  const known = states(from).find(({ agentStateARN }) => agentStateARN === arn);
  return { ...(known ?? { agentStateARN: arn, type: "not_routable", name: reason ?? "Unavailable" }), startTimestamp };
}

/** What is not for the page: it stays out of its texts of an object. */
const hide = (object, values) => { for (const [name, value] of Object.entries(values)) Object.defineProperty(object, name, { value, enumerable: false }); };

class Agent {
  /** @type {any} @internal */ _here;
  /** @type {any} @internal */ _from;
  /** `from`: the Linecard, or what it was. */
  constructor(here, from = here.linecard) {
    if (!here.began) throw new Error("the agent is not there yet: connect.agent tells when");
    hide(this, { _here: here, _from: from });
  }
  onRefresh(f) { return this._here.bus.subscribe(AgentEvents.REFRESH, f); }
  onStateChange(f) { return this._here.bus.subscribe(AgentEvents.STATE_CHANGE, f); }
  onRoutable(f) { return this._here.bus.subscribe(AgentEvents.ROUTABLE, f); }
  onNotRoutable(f) { return this._here.bus.subscribe(AgentEvents.NOT_ROUTABLE, f); }
  onOffline(f) { return this._here.bus.subscribe(AgentEvents.OFFLINE, f); }
  onAfterCallWork(f) { return this._here.bus.subscribe(AgentEvents.ACW, f); }
  onMuteToggle(f) { return this._here.bus.subscribe(AgentEvents.MUTE_TOGGLE, f); }
  onEnqueuedNextState(f) { return this._here.bus.subscribe(AgentEvents.ENQUEUED_NEXT_STATE, f); }
  onClearedNextState(f) { return this._here.bus.subscribe(AgentEvents.CLEARED_NEXT_STATE, f); }
  onWebSocketConnectionLost(f) { return this._here.bus.subscribe(AgentEvents.WEBSOCKET_CONNECTION_LOST, f); }
  onWebSocketConnectionGained(f) { return this._here.bus.subscribe(AgentEvents.WEBSOCKET_CONNECTION_GAINED, f); }
  onNetworkConnectionStatusChanged(f) { return this._here.bus.subscribe(NETWORK, f); }
  async getNetworkConnectionStatus() { return { status: this._here.linecard.up ? "connected" : "connecting", timestamp: this._from.now() }; }

  getState() { return stated(this._from, this._from.agent); }
  getStatus() { return this.getState(); }
  getNextState() { const { next } = this._from.agent; return next ? stated(this._from, next) : null; }
  getAvailabilityState() {
    const { name, type, agentStateARN, startTimestamp } = this.getState();
    return { state: name, type, agentStateARN: agentStateARN ?? undefined, timeStamp: startTimestamp, startTimestamp };
  }
  getStateDuration() { return this._from.now() - this.getState().startTimestamp.getTime(); }
  getStatusDuration() { return this.getStateDuration(); }
  getPermissions() { return ["outboundCall"]; }
  getContacts(type) { return this._from.calls.map((call) => this._here.contact(call.id, this._from === this._here.linecard ? undefined : call)).filter((contact) => !type || contact.getType() === type); }
  getAgentStates() { return states(this._from); }
  getName() { return this._from.me?.name ?? this._from.me?.id ?? ""; }
  getAgentARN() { return this._from.me?.id ?? ""; }
  getExtension() { return this._from.agent.seat?.device ?? ""; }
  isSoftphoneEnabled() { return false; }
  getAllQueueARNs() { return this.getRoutingProfile().queues.map(({ queueARN }) => queueARN); }
  getRoutingProfile() {
    const ids = new Set([...this._from.queues, ...(this._from.agent.queues ?? []).map(({ queue }) => queue)]);
    const queues = [...ids].map((id) => ({ name: id, queueARN: id, queueId: id }));
    return { name: "", routingProfileARN: "", routingProfileId: "", queues, defaultOutboundQueue: queues[0] ?? null, channelConcurrencyMap: { VOICE: 1, CHAT: 0, TASK: 0 } };
  }
  getChannelConcurrency(channel) {
    const { channelConcurrencyMap } = this.getRoutingProfile();
    return channel ? channelConcurrencyMap[channel] ?? 0 : channelConcurrencyMap;
  }
  getConfiguration() {
    return {
      agentStates: this.getAgentStates(), agentARN: this.getAgentARN(), name: this.getName(), username: this.getAgentARN(), extension: this.getExtension(), permissions: this.getPermissions(),
      routingProfile: this.getRoutingProfile(), dialableCountries: [], agentPreferences: {}, softphoneEnabled: false, softphoneAutoAccept: false,
    };
  }

  setState(wanted, callbacks, { enqueueNextState = false } = {}) {
    const { linecard } = this._here;
    const one = states(linecard).find(({ agentStateARN }) => agentStateARN === wanted?.agentStateARN) ?? states(linecard).find(({ type, name }) => type === wanted?.type && (type !== "not_routable" || name === wanted.name));
    if (!one) throw new Error(`${wanted?.name ?? wanted} is none of the agent's states: getAgentStates() has them`);
    const [state, reason] = one.agentStateARN.split("/"), why = reason || undefined;
    if (enqueueNextState && live(linecard.calls.find(live) ?? {})) tell(linecard.next(state, why), callbacks);
    else tell(state === "ready" ? linecard.ready() : state === "logged-off" ? linecard.logOff() : linecard.notReady(why), callbacks);
  }
  setStatus(...all) { this.setState(...all); }
  connect(endpoint, options) { tell(this._here.linecard.dial(dialled(endpoint)), options); }
  mute() { this.#mute(true); }
  unmute() { this.#mute(false); }
  #mute(on) {
    const call = this._here.linecard.calls.find(({ phase }) => phase === "talking");
    if (!call) throw new Error("no call is up");
    tell(on ? call.mute() : call.unmute());
  }
  toSnapshot() {
    const { me, agent, reasons, queues, calls } = this._from, now = this._from.now();
    return new this._here.connect.Agent({ me, agent, reasons, queues, calls: calls.map((call) => still(call)), now: () => now });
  }
}

/** What a call is now; its verbs stay those of the call. */
function still(call) {
  const { id, pop, state, phase, number, name } = call, actions = [...(state.actions ?? [])];
  return { id, pop, state, phase, number, name, missed: call.missed, can: (verb) => actions.includes(`call.${verb}`) };
}

class Endpoint {
  /** @param {Record<string, any>} of */
  constructor({ endpointARN, endpointId, type, name, phoneNumber, agentLogin, queue } = {}) {
    this.endpointARN = this.endpointId = endpointId ?? endpointARN ?? null;
    this.type = type ?? null;
    this.name = name ?? null;
    this.phoneNumber = phoneNumber ?? null;
    this.agentLogin = agentLogin ?? null;
    this.queue = queue ?? null;
  }
  stripPhoneNumber() { return this.phoneNumber ? this.phoneNumber.replace(/sip:([^@]*)@.*/, "$1") : ""; }
  static byPhoneNumber(phoneNumber, name) { return new Endpoint({ type: "phone_number", phoneNumber, name }); }
}
function dialled(endpoint) {
  const number = new Endpoint(endpoint).stripPhoneNumber();
  if (!number) throw new Error("the endpoint has no phoneNumber: Endpoint.byPhoneNumber makes one that has");
  return number;
}
/** A number as this agent may see it; nothing where it was withheld. */
const at = (number, name) => (number?.display ? Endpoint.byPhoneNumber(number.e164 ?? number.display, name) : null);

const CONTACT = { ringing: "connecting", dialling: "connecting", talking: "connected", holding: "connected", wrapup: "ended", ended: "ended" };
const began = (state) => new Date(state.since ?? state.wrapup?.since ?? state.started_at ?? 0);

class Contact {
  /** @type {any} @internal */ _here;
  /** @type {any} @internal */ _still;
  constructor(here, contactId, still) {
    this.contactId = contactId;
    hide(this, { _here: here, _still: still });
  }
  /** @internal */
  get _of() {
    const of = this._still ?? this._here.known.get(this.contactId);
    if (!of) throw new Error(`there is no contact ${this.contactId} any more`);
    return of;
  }
  /** @internal */
  get _call() {
    const call = this._here.linecard.call(this.contactId);
    if (!call) throw new Error(`there is no contact ${this.contactId} any more`);
    return call;
  }
  #on(event, f) { return this._here.bus.subscribe(this.getEventName(event), f); }
  onRefresh(f) { return this.#on(ContactEvents.REFRESH, f); }
  onConnecting(f) { return this.#on(ContactEvents.CONNECTING, f); }
  onAccepted(f) { return this.#on(ContactEvents.ACCEPTED, f); }
  onConnected(f) { return this.#on(ContactEvents.CONNECTED, f); }
  onMissed(f) { return this.#on(ContactEvents.MISSED, f); }
  onEnded(f) { return this.#on(ContactEvents.ENDED, f); }
  onDestroy(f) { return this.#on(ContactEvents.DESTROYED, f); }
  onACW(f) { return this.#on(ContactEvents.ACW, f); }
  getEventName(event) { return `${event}::${this.contactId}`; }

  getContactId() { return this.contactId; }
  getOriginalContactId() { return this.contactId; }
  getInitialContactId() { return this.contactId; }
  getType() { return this._of.pop.origin === "callback" ? "queue_callback" : "voice"; }
  getState() { return { type: this._of.missed ? "missed" : CONTACT[this._of.phase], timestamp: began(this._of.state) }; }
  getStatus() { return this.getState(); }
  getStateDuration() { return this._here.linecard.now() - this.getState().timestamp.getTime(); }
  getStatusDuration() { return this.getStateDuration(); }
  getContactDuration() { return Math.max(0, this._here.linecard.now() - Date.parse(this._of.state.started_at ?? this._of.state.since)); }
  getQueue() { const { queue } = this._of.pop; return queue ? { name: queue.label, queueARN: queue.id, queueId: queue.id } : null; }
  getQueueTimestamp() { const { waited_since } = this._of.pop; return waited_since ? new Date(waited_since) : null; }
  getName() { return this._of.pop.title ?? ""; }
  getDescription() { return this._of.pop.name ?? ""; }
  getInitiationMethod() {
    const { pop, state } = this._of;
    if (pop.origin === "callback") return "callback";
    return state.role === "outbound" ? "outbound" : state.role === "transfer" || state.role === "consult" ? "transfer" : "inbound";
  }
  getRelatedContactId() { return null; }
  getContactAssociationId() { return null; }
  getContactSubtype() { return null; }
  getChannelContext() { return undefined; }
  getContactMetadata() { return undefined; }
  getContactFeatures() { return undefined; }
  getSegmentAttributes() { return {}; }
  getReferences() { const { target } = this._of.pop; return target ? { target: { type: "URL", value: target } } : {}; }
  getAttributes() { return Object.fromEntries(Object.entries(this._of.pop.attributes ?? {}).map(([name, value]) => [name, { name, value }])); }
  getCustomerEndpoint() { return at(this._of.pop.number, this._of.name); }
  getConnectSystemEndpoint() { return at(this._of.pop.line, this._of.pop.title); }

  getConnections() {
    const of = this._of, parts = ["agent", "customer", ...(asked(of, this._here.linecard.me?.id) ? ["third"] : [])];
    return parts.map((part) => new this._here.connect.VoiceConnection(of.id, `${of.id}:${part}`, this._still));
  }
  getAgentConnection() { return this.getConnections()[0]; }
  getInitialConnection() { return this.getConnections()[1]; }
  getActiveInitialConnection() { const one = this.getInitialConnection(); return one.isActive() ? one : null; }
  getThirdPartyConnections() { return this.getConnections().slice(2); }
  getSingleActiveThirdPartyConnection() { return this.getThirdPartyConnections().find((one) => one.isActive()) ?? null; }
  getActiveConnections() { return this.getConnections().filter((one) => one.isActive()); }
  hasTwoActiveParticipants() { return this.getActiveConnections().length === 2; }

  isInbound() { return this._of.state.role !== "outbound"; }
  isConnected() { return this.getState().type === "connected"; }
  isSoftphoneCall() { return false; }

  accept(callbacks) {
    const call = this._call;
    const told = call.answer().then(() => { for (const name of [ContactEvents.ACCEPTED, this.getEventName(ContactEvents.ACCEPTED)]) this._here.bus.trigger(name, this); });
    tell(told, callbacks);
  }
  reject(callbacks) { tell(this._call.hangup(), callbacks); }
  clear(callbacks) { tell(this._call.wrapup(), callbacks); }
  complete(callbacks) { this.clear(callbacks); }
  addConnection(endpoint, callbacks) { tell(this._call.consult(dialled(endpoint)), callbacks); }
  addParticipant(endpoint, callbacks) { this.addConnection(endpoint, callbacks); }
  transfer(endpoint, callbacks) { tell(this._call.transfer(dialled(endpoint)), callbacks); }
  conferenceConnections(callbacks) { tell(this._call.conference(), callbacks); }
  destroy() { console.warn("contact.destroy() does nothing: the connection's destroy() hangs up"); }
  toSnapshot() { return new this._here.connect.Contact(this.contactId, still(this._of)); }
}

class BaseConnection {
  /** @type {any} @internal */ _here;
  /** @type {any} @internal */ _still;
  /** @type {string} @internal */ _part;
  constructor(here, contactId, connectionId, still) {
    this.contactId = contactId;
    this.connectionId = connectionId;
    hide(this, { _here: here, _still: still, _part: connectionId.slice(contactId.length + 1) });
  }
  /** @internal */
  get _of() { return this._contact._of; }
  /** @internal */
  get _contact() { return new this._here.connect.Contact(this.contactId, this._still); }
  getContactId() { return this.contactId; }
  getConnectionId() { return this.connectionId; }
  getType() { return this._part === "agent" ? "agent" : this._part === "third" || !this._contact.isInbound() ? "outbound" : "inbound"; }
  getEndpoint() {
    const { linecard } = this._here, of = this._of;
    if (this._part === "agent") return new Endpoint({ type: "agent", agentLogin: linecard.me?.id, name: linecard.me?.name, endpointARN: of.pop.device });
    if (this._part === "customer") return this._contact.getCustomerEndpoint() ?? new Endpoint({ type: "phone_number" });
    return new Endpoint({ type: "agent", name: asked(of, linecard.me?.id)?.name });
  }
  getAddress() { return this.getEndpoint(); }
  getState() {
    const of = this._of, timestamp = began(of.state);
    const third = () => { const one = asked(of, this._here.linecard.me?.id); return one ? (one.talks === false ? "connecting" : "connected") : "disconnected"; };
    if (this._part === "third") return { type: third(), timestamp };
    const agent = { ringing: "connecting", dialling: "connected", talking: "connected", holding: "connected" }[of.phase];
    const customer = { ringing: "connected", dialling: "connecting", talking: "connected", holding: "hold" }[of.phase];
    return { type: (this._part === "agent" ? agent : customer) ?? "disconnected", timestamp };
  }
  getStatus() { return this.getState(); }
  getStateDuration() { return this._here.linecard.now() - this.getState().timestamp.getTime(); }
  getStatusDuration() { return this.getStateDuration(); }
  getMonitorInfo() { return null; }
  getSoftphoneMediaInfo() { return null; }
  isInitialConnection() { return this._part === "customer"; }
  isActive() { return ["connecting", "connected", "hold"].includes(this.getState().type); }
  isConnected() { return this.getState().type === "connected"; }
  isConnecting() { return this.getState().type === "connecting"; }
  isOnHold() { return this.getState().type === "hold"; }

  destroy(callbacks) { const call = this._contact._call; tell(this._part === "third" ? call.cancel() : call.hangup(), callbacks); }
  sendDigits(digits, callbacks) { tell(this._contact._call.digits(digits), callbacks); }
  hold(callbacks) { this.#held(callbacks, (call) => call.hold()); }
  resume(callbacks) { this.#held(callbacks, (call) => call.retrieve()); }
  #held(callbacks, verb) {
    if (this._part === "third") throw new Error("a third party cannot be held: destroy() goes back to the customer, conferenceConnections() lets all three talk");
    tell(verb(this._contact._call), callbacks);
  }
  toSnapshot() { return new this._here.connect[this instanceof VoiceConnection ? "VoiceConnection" : "BaseConnection"](this.contactId, this.connectionId, still(this._of)); }
}

class VoiceConnection extends BaseConnection {
  getMediaType() { return "softphone"; }
  getMediaInfo() { return null; }
  getQuickConnectName() { return null; }
  getCapabilities() { return {}; }
  getMonitorCapabilities() { return []; }
  getMonitorStatus() { return null; }
  isMute() { return this._part === "agent" && this._here.muted.get(this.contactId) === true; }
  muteParticipant(callbacks) { this.#mute(callbacks, (call) => call.mute()); }
  unmuteParticipant(callbacks) { this.#mute(callbacks, (call) => call.unmute()); }
  #mute(callbacks, verb) {
    if (this._part !== "agent") throw new Error("only the agent can be muted: contact.getAgentConnection()");
    tell(verb(this._contact._call), callbacks);
  }
  onParticipantHold(f) { return this._here.bus.subscribe(`linecard::held::${this.connectionId}`, f); }
  onParticipantResume(f) { return this._here.bus.subscribe(`linecard::resumed::${this.connectionId}`, f); }
  async canResumeParticipant() { return this.isOnHold(); }
}

const CLASSES = { Agent, Contact, BaseConnection, VoiceConnection };
for (const [name, { prototype }] of Object.entries(CLASSES)) {
  refuses(prototype, COVERED, name, "shim of Streams");
  for (const row of COVERED.filter((one) => one.name.startsWith(`${name}.`))) {
    const method = row.name.slice(name.length + 1);
    // What cannot happen is heard by whoever likes, and never told.
    if (row.note.startsWith("never told")) prototype[method] = () => ({ unsubscribe() {} });
    if (row.note.startsWith("false:") && !prototype[method]) prototype[method] = () => false;
  }
}

const WITHDRAWN = ["no-answer", "caller-gone", "rejected", "lost"];

/** Streams' `connect` on a Linecard. It connects when the page calls `connect.core.initCCP`. */
export function streams(linecard) {
  const bus = new Bus();
  const here = { linecard, bus, began: false, known: new Map(), muted: new Map(), contact: (id, of) => new connect.Contact(id, of), connect: undefined };
  let stop = () => {}, seen;

  const told = (contact, ...events) => {
    for (const event of events) { bus.trigger(event, contact); bus.trigger(contact.getEventName(event), contact); }
  };
  const moved = (call, was) => {
    const contact = here.contact(call.id), { phase } = call;
    // Busy has a name by what the calls do, and the daemon tells no state of the agent anew for that.
    agent();
    if (phase === "talking" && was !== "holding") told(contact, ContactEvents.CONNECTED);
    if (phase === "wrapup") told(contact, ContactEvents.ACW, ContactEvents.ENDED);
    const held = phase === "holding" ? "held" : was === "holding" && phase === "talking" ? "resumed" : undefined;
    if (held) bus.trigger(`linecard::${held}::${call.id}:customer`, { contactId: call.id, connectionId: `${call.id}:customer` });
  };
  const news = {
    began: (call) => {
      here.known.set(call.id, call);
      const contact = here.contact(call.id);
      bus.trigger(ContactEvents.INIT, contact);
      if (call.phase === "ringing" || call.phase === "dialling") told(contact, ContactEvents.CONNECTING);
      else moved(call, "ringing");
    },
    moved,
    changed: (call) => {
      const before = here.muted.get(call.id), now = muted(call, before);
      here.muted.set(call.id, now);
      if (before !== undefined && before !== now && call.phase === "talking") bus.trigger(AgentEvents.MUTE_TOGGLE, { muted: now });
      told(here.contact(call.id), ContactEvents.REFRESH);
    },
    gone: (call, reason, was) => {
      const missed = was === "ringing" && WITHDRAWN.includes(reason);
      const contact = new connect.Contact(call.id, { ...still(call), phase: was === "wrapup" ? was : "ended", missed });
      if (was !== "wrapup") told(contact, ContactEvents.ENDED);
      if (missed) told(contact, ContactEvents.MISSED);
      for (const kept of [here.known, here.muted]) kept.delete(call.id);
      told(contact, ContactEvents.DESTROYED);
      bus._forget(`::${call.id}`);
      bus._forget(`::${call.id}:customer`);
    },
  };
  const agent = () => {
    const me = new connect.Agent(), now = me.getState(), next = me.getNextState()?.name, before = seen ?? { type: "init", name: "Init" };
    seen = { ...now, next };
    bus.trigger(AgentEvents.REFRESH, me);
    const routing = { routable: AgentEvents.ROUTABLE, not_routable: AgentEvents.NOT_ROUTABLE, offline: AgentEvents.OFFLINE }[now.type];
    if (before.type !== now.type && routing) bus.trigger(routing, me);
    if (before.name !== now.name) {
      bus.trigger(AgentEvents.STATE_CHANGE, { agent: me, oldState: before.name, newState: now.name });
      if (now.name === "AfterCallWork") bus.trigger(AgentEvents.ACW, me);
    }
    if (next !== before.next) bus.trigger(next ? AgentEvents.ENQUEUED_NEXT_STATE : AgentEvents.CLEARED_NEXT_STATE, me);
  };
  const network = (status, event) => () => {
    if (!here.began) return;
    bus.trigger(event, new connect.Agent());
    bus.trigger(NETWORK, { status, timestamp: linecard.now() });
  };

  async function start() {
    const refused = linecard.on("refused", (why) => bus.trigger(EventType.AUTH_FAIL, why));
    stop = refused;
    try { await linecard.connect(); } catch { return; } // `refused` told it
    here.began = true;
    core.initialized = connect.agent.initialized = true;
    bus.trigger(EventType.AUTHORIZE_SUCCESS);
    bus.trigger(EventType.INIT);
    bus.trigger(AgentEvents.INIT, new connect.Agent());
    agent();
    const ends = [
      refused, moves(linecard, news), linecard.on("agent", agent),
      linecard.on("down", network("connecting", AgentEvents.WEBSOCKET_CONNECTION_LOST)), linecard.on("up", network("connected", AgentEvents.WEBSOCKET_CONNECTION_GAINED)),
    ];
    stop = () => { for (const end of ends) end(); };
  }

  const core = {
    initialized: false,
    initCCP() { if (!here.starting) { here.starting = true; void start(); } },
    terminate() {
      stop();
      linecard.close();
      for (const kept of [here.known, here.muted]) kept.clear();
      here.began = here.starting = core.initialized = connect.agent.initialized = false;
      seen = undefined;
      bus.unsubscribeAll();
    },
    onInitialized: (f) => bus.subscribe(EventType.INIT, f),
    onAuthFail: (f) => bus.subscribe(EventType.AUTH_FAIL, f),
    onAuthorizeSuccess: (f) => bus.subscribe(EventType.AUTHORIZE_SUCCESS, f),
    viewContact: (contactId) => bus.trigger(ContactEvents.VIEW, { contactId }),
    onViewContact: (f) => bus.subscribe(ContactEvents.VIEW, f),
    getEventBus: () => bus,
  };
  const written = { withException: () => written, withObject: () => written };
  const write = (level) => (...all) => { console[level](...all); return written; };
  const logger = { trace: write("debug"), debug: write("debug"), info: write("info"), log: write("log"), warn: write("warn"), error: write("error"), download() {}, setLogLevel() {}, setEchoLevel() {} };
  const never = () => ({ unsubscribe() {} });
  const connect = {
    ...ENUMS, core, Endpoint, Address: Endpoint,
    Agent: class extends Agent { constructor(from) { super(here, from); } },
    Contact: class extends Contact { constructor(contactId, of) { super(here, contactId, of); } },
    BaseConnection: class extends BaseConnection { constructor(...all) { super(here, ...all); } },
    VoiceConnection: class extends VoiceConnection { constructor(...all) { super(here, ...all); } },
    agent: Object.assign((f) => {
      const on = bus.subscribe(AgentEvents.INIT, f);
      if (here.began) f(new connect.Agent());
      return on;
    }, { initialized: false }),
    contact: (f) => bus.subscribe(ContactEvents.INIT, f),
    onWebsocketInitFailure: never,
    hitch: (scope, method) => method.bind(scope),
    getLog: () => logger,
  };
  here.connect = connect;
  refuses(connect, COVERED, "connect", "shim of Streams");
  refuses(core, COVERED, "core", "shim of Streams");
  for (const { name, note } of COVERED) if (name.startsWith("core.") && note.startsWith("never told")) core[name.slice(5)] = never;
  // Whole objects that are not there say so at the first touch.
  for (const { name, note } of COVERED.filter((row) => row.name.endsWith(".*"))) {
    const object = name.slice(0, -2);
    Object.defineProperty(connect, object, { enumerable: false, get() { throw new Error(`connect.${object} is not covered by Linecard's shim of Streams: ${note}`); } });
  }
  return connect;
}
