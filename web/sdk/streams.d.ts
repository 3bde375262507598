import type { Linecard } from "./linecard.js";
import type { Covered } from "./salesforce.js";

export type { Covered };
/** Of which version of the contract `COVERED` speaks. */
export const CONTRACT: string;
/** Every public method of the contract, by its object. */
export const COVERED: Covered[];
/** Streams' own words: `AgentStateType`, `ContactStateType` and the like. */
export const ENUMS: Enums;

/** Streams' `connect` on a Linecard: `globalThis.connect = streams(linecard)`. It connects when the page calls `connect.core.initCCP`. */
export function streams(linecard: Linecard): Connect;

/** `failure` hears what went wrong in words for people, and a code of the protocol. */
export interface Callbacks { success?: (data: object) => void; failure?: (message: string, data?: { type: string }) => void }
export interface Subscription { unsubscribe(): void }

export interface Enums {
  AgentStateType: { INIT: "init"; ROUTABLE: "routable"; NOT_ROUTABLE: "not_routable"; OFFLINE: "offline"; SYSTEM: "system"; ERROR: "error" };
  AgentAvailStates: Record<"INIT" | "BUSY" | "AFTER_CALL_WORK" | "CALLING_CUSTOMER" | "DIALING" | "JOINING" | "PENDING_AVAILABLE" | "PENDING_BUSY", string>;
  AgentEvents: Record<string, string>;
  ContactEvents: Record<string, string>;
  ContactStateType: { INIT: "init"; INCOMING: "incoming"; PENDING: "pending"; CONNECTING: "connecting"; CONNECTED: "connected"; MISSED: "missed"; ERROR: "error"; ENDED: "ended"; REJECTED: "rejected"; PAUSED: "paused" };
  CONTACT_ACTIVE_STATES: Record<string, string>;
  ContactType: { VOICE: "voice"; QUEUE_CALLBACK: "queue_callback"; CHAT: "chat"; TASK: "task"; EMAIL: "email" };
  ConnectionType: { AGENT: "agent"; INBOUND: "inbound"; OUTBOUND: "outbound"; MONITORING: "monitoring" };
  ConnectionStateType: { INIT: "init"; CONNECTING: "connecting"; CONNECTED: "connected"; HOLD: "hold"; DISCONNECTED: "disconnected"; SILENT_MONITOR: "silent_monitor"; BARGE: "barge" };
  EndpointType: { PHONE_NUMBER: "phone_number"; AGENT: "agent"; QUEUE: "queue" };
  ChannelType: { VOICE: "VOICE"; CHAT: "CHAT"; TASK: "TASK" };
  MediaType: { SOFTPHONE: "softphone"; CHAT: "chat"; TASK: "task"; EMAIL: "email" };
  ContactInitiationMethod: Record<string, string>;
  EventType: Record<string, string>;
  AgentPermissions: { OUTBOUND_CALL: "outboundCall"; VOICE_ID: "voiceId" };
}
type Value<T> = T[keyof T];

/** What a page that was written for Streams calls `connect`. */
export interface Connect extends Enums {
  /** Hears the agent, once that one is there. */
  agent(heard: (agent: Agent) => void): Subscription;
  /** Hears each contact when it comes. */
  contact(heard: (contact: Contact) => void): Subscription;
  onWebsocketInitFailure(heard: () => void): Subscription;
  hitch<T extends (...all: any[]) => any>(scope: object, method: T): T;
  getLog(): Logger;
  /** Throws. */
  sendActivity(): never;
  core: Core;
  Agent: new () => Agent;
  Contact: new (contactId: string) => Contact;
  BaseConnection: new (contactId: string, connectionId: string) => BaseConnection;
  VoiceConnection: new (contactId: string, connectionId: string) => VoiceConnection;
  Endpoint: { new (of?: Partial<Endpoint>): Endpoint; byPhoneNumber(phoneNumber: string, name?: string): Endpoint };
}
export interface Entry { withException(error: Error): Entry; withObject(object: object): Entry }
export interface Logger {
  debug(template: string, ...all: unknown[]): Entry;
  info(template: string, ...all: unknown[]): Entry;
  warn(template: string, ...all: unknown[]): Entry;
  error(template: string, ...all: unknown[]): Entry;
  /** Does nothing. */
  download(): void;
  setLogLevel(level: string): void;
  setEchoLevel(level: string): void;
}
export interface EventBus {
  subscribe(name: string, heard: (data?: any, name?: string) => void): Subscription;
  subscribeAll(heard: (data?: any, name?: string) => void): Subscription;
  trigger(name: string, data?: unknown): void;
  unsubscribeAll(): void;
}
export interface Core {
  readonly initialized: boolean;
  /** Connects the Linecard. The container stays as it is, options are not looked at. */
  initCCP(container?: HTMLElement | null, options?: object): void;
  /** Closes the Linecard; nobody hears anything more. */
  terminate(): void;
  onInitialized(heard: () => void): Subscription;
  onAuthFail(heard: (why?: string) => void): Subscription;
  onAuthorizeSuccess(heard: () => void): Subscription;
  onAccessDenied(heard: () => void): Subscription;
  onIframeRetriesExhausted(heard: () => void): Subscription;
  onCTIAuthorizeRetriesExhausted(heard: () => void): Subscription;
  onAuthorizeRetriesExhausted(heard: () => void): Subscription;
  onSoftphoneSessionInit(heard: (session: unknown) => void): Subscription;
  viewContact(contactId: string): void;
  onViewContact(heard: (event: { contactId: string }) => void): Subscription;
  getEventBus(): EventBus;
}

export interface AgentStateDefinition { readonly agentStateARN: string; readonly type: Value<Enums["AgentStateType"]>; readonly name: string }
export interface AgentState { readonly agentStateARN: string | null; readonly type: Value<Enums["AgentStateType"]>; readonly name: string; readonly startTimestamp: Date }
export interface Queue { readonly name: string; readonly queueARN: string; readonly queueId: string }
export interface RoutingProfile {
  readonly name: string; readonly routingProfileARN: string; readonly routingProfileId: string; readonly queues: Queue[]; readonly defaultOutboundQueue: Queue;
  readonly channelConcurrencyMap: { readonly VOICE: number; readonly CHAT: number; readonly TASK: number };
}
export interface Configuration {
  readonly agentStates: AgentStateDefinition[]; readonly agentARN: string; readonly name: string; readonly username: string; extension: string; readonly permissions: string[];
  readonly routingProfile: RoutingProfile; readonly dialableCountries: string[]; readonly agentPreferences: object; softphoneEnabled: boolean; readonly softphoneAutoAccept: boolean;
}
/** Hears the agent, or with another event what that says. */
type Hears<T = Agent> = (heard: (what: T) => void) => Subscription;
export interface NetworkStatus { status: "connected" | "connecting"; timestamp: number }

/** The agent. What is not here throws at run time, and says what to use. */
export interface Agent {
  onRefresh: Hears;
  onStateChange: Hears<{ readonly agent: Agent; readonly oldState: string; readonly newState: string }>;
  onRoutable: Hears;
  onNotRoutable: Hears;
  onOffline: Hears;
  onAfterCallWork: Hears;
  onError: Hears;
  onMuteToggle: Hears<{ readonly muted: boolean }>;
  onEnqueuedNextState: Hears;
  onClearedNextState: Hears;
  onWebSocketConnectionLost: Hears;
  onWebSocketConnectionGained: Hears;
  onNetworkConnectionStatusChanged: Hears<NetworkStatus>;
  onSoftphoneError: Hears<any>;
  onLocalMediaStreamCreated: Hears<any>;
  onSpeakerDeviceChanged: Hears<any>;
  onMicrophoneDeviceChanged: Hears<any>;
  onRingerDeviceChanged: Hears<any>;
  onCameraDeviceChanged: Hears<any>;
  onBackgroundBlurChanged: Hears<any>;
  onVoiceEnhancementModeChanged: Hears<any>;
  getNetworkConnectionStatus(): Promise<NetworkStatus>;
  /** As Streams names it: Available, a reason, Offline; PendingBusy, CallingCustomer, Busy and AfterCallWork of type `system`. */
  getState(): AgentState;
  getStatus(): AgentState;
  getNextState(): AgentState | null;
  getAvailabilityState(): { readonly state: string; readonly type: Value<Enums["AgentStateType"]>; readonly agentStateARN?: string; readonly timeStamp: Date; readonly startTimestamp: Date };
  getStateDuration(): number;
  getStatusDuration(): number;
  getPermissions(): string[];
  getContacts(type?: string): Contact[];
  getAgentStates(): AgentStateDefinition[];
  getName(): string;
  getAgentARN(): string;
  getExtension(): string;
  isSoftphoneEnabled(): boolean;
  getAllQueueARNs(): string[];
  getRoutingProfile(): RoutingProfile;
  getChannelConcurrency(): RoutingProfile["channelConcurrencyMap"];
  getChannelConcurrency(channel: string): number;
  getConfiguration(): Configuration;
  /** One of `getAgentStates()`. */
  setState(state: Pick<AgentStateDefinition, "type" | "name"> & { agentStateARN?: string }, callbacks?: Callbacks, options?: { enqueueNextState?: boolean }): void;
  setStatus(state: Pick<AgentStateDefinition, "type" | "name"> & { agentStateARN?: string }, callbacks?: Callbacks): void;
  /** Dials. */
  connect(endpoint: { readonly phoneNumber: string | null }, options?: Callbacks): void;
  mute(): void;
  unmute(): void;
  toSnapshot(): Agent;
}

export interface Endpoint {
  readonly endpointARN: string | null; readonly endpointId: string | null; readonly type: Value<Enums["EndpointType"]> | null; readonly name: string | null;
  readonly phoneNumber: string | null; readonly agentLogin: string | null; readonly queue: string | null;
  stripPhoneNumber(): string;
}
export interface ContactState { readonly type: Value<Enums["ContactStateType"]>; readonly timestamp: Date }
type To = { readonly phoneNumber: string | null };

/** A call on this agent's screen. What is not here throws at run time, and says what to use. */
export interface Contact {
  readonly contactId: string;
  onRefresh: Hears<Contact>;
  onIncoming: Hears<Contact>;
  onPending: Hears<Contact>;
  onConnecting: Hears<Contact>;
  onAccepted: Hears<Contact>;
  onConnected: Hears<Contact>;
  onMissed: Hears<Contact>;
  onEnded: Hears<Contact>;
  onDestroy: Hears<Contact>;
  onACW: Hears<Contact>;
  onError: Hears<Contact>;
  onScreenSharingStarted: Hears<Contact>;
  onScreenSharingStopped: Hears<Contact>;
  onScreenSharingError: Hears<Contact>;
  getEventName(event: string): string;
  getContactId(): string;
  getOriginalContactId(): string;
  getInitialContactId(): string;
  getType(): Value<Enums["ContactType"]>;
  getState(): ContactState;
  getStatus(): ContactState;
  getStateDuration(): number;
  getStatusDuration(): number;
  getContactDuration(): number;
  getQueue(): Queue | null;
  getQueueTimestamp(): Date | null;
  getName(): string;
  getDescription(): string;
  getInitiationMethod(): "inbound" | "outbound" | "transfer" | "callback";
  getRelatedContactId(): null;
  getContactAssociationId(): null;
  getContactSubtype(): null;
  getChannelContext(): undefined;
  getContactMetadata(): undefined;
  getContactFeatures(): undefined;
  getSegmentAttributes(): {};
  getReferences(): { [name: string]: { type: "URL"; value: string } };
  getAttributes(): { [name: string]: { name: string; value: string } };
  getCustomerEndpoint(): Endpoint | null;
  getConnectSystemEndpoint(): Endpoint | null;
  getConnections(): VoiceConnection[];
  getAgentConnection(): VoiceConnection;
  getInitialConnection(): VoiceConnection;
  getActiveInitialConnection(): VoiceConnection | null;
  getThirdPartyConnections(): VoiceConnection[];
  getSingleActiveThirdPartyConnection(): VoiceConnection | null;
  getActiveConnections(): VoiceConnection[];
  hasTwoActiveParticipants(): boolean;
  isInbound(): boolean;
  isConnected(): boolean;
  isSoftphoneCall(): boolean;
  isCustomerFirstCallback(): boolean;
  isCampaignPreview(): boolean;
  isPreviewMode(): boolean;
  isUnderSupervision(): boolean;
  isAutoAcceptEnabled(): boolean;
  isMultiPartyConferenceEnabled(): boolean;
  hasVideoRTCCapabilities(): boolean;
  hasScreenShareCapability(): boolean;
  canAgentSendVideo(): boolean;
  canAgentReceiveVideo(): boolean;
  canAgentSendScreenShare(): boolean;
  canCustomerSendScreenShare(): boolean;
  accept(callbacks?: Callbacks): void;
  /** Declines what rings. */
  reject(callbacks?: Callbacks): void;
  /** Ends the wrap-up. */
  clear(callbacks?: Callbacks): void;
  complete(callbacks?: Callbacks): void;
  /** Asks somebody while the customer waits. */
  addConnection(endpoint: To, callbacks?: Callbacks): void;
  addParticipant(endpoint: To, callbacks?: Callbacks): void;
  /** Hands the call over at once. */
  transfer(endpoint: To, callbacks?: Callbacks): void;
  conferenceConnections(callbacks?: Callbacks): void;
  /** Does nothing. */
  destroy(callbacks?: Callbacks): void;
  toSnapshot(): Contact;
}

/** One party's part in a call. */
export interface BaseConnection {
  readonly contactId: string;
  readonly connectionId: string;
  getContactId(): string;
  getConnectionId(): string;
  getEndpoint(): Endpoint;
  getAddress(): Endpoint;
  getState(): { readonly type: Value<Enums["ConnectionStateType"]>; readonly timestamp: Date };
  getStatus(): { readonly type: Value<Enums["ConnectionStateType"]>; readonly timestamp: Date };
  getStateDuration(): number;
  getStatusDuration(): number;
  getType(): "agent" | "inbound" | "outbound";
  getMonitorInfo(): null;
  getSoftphoneMediaInfo(): null;
  isInitialConnection(): boolean;
  isActive(): boolean;
  isConnected(): boolean;
  isConnecting(): boolean;
  isOnHold(): boolean;
  /** Hangs up; of a third party: back to the customer. */
  destroy(callbacks?: Callbacks): void;
  sendDigits(digits: string, callbacks?: Callbacks): void;
  hold(callbacks?: Callbacks): void;
  resume(callbacks?: Callbacks): void;
  toSnapshot(): BaseConnection;
}
export interface VoiceConnection extends BaseConnection {
  getMediaType(): "softphone";
  getMediaInfo(): null;
  getQuickConnectName(): null;
  getCapabilities(): {};
  getMonitorCapabilities(): never[];
  getMonitorStatus(): null;
  isMute(): boolean;
  /** Of the agent's connection. */
  muteParticipant(callbacks?: Callbacks): void;
  unmuteParticipant(callbacks?: Callbacks): void;
  onParticipantHold: Hears<{ contactId: string; connectionId: string }>;
  onParticipantResume: Hears<{ contactId: string; connectionId: string }>;
  onCanResumeParticipantUpdated: Hears<any>;
  canResumeParticipant(): Promise<boolean>;
  isSilentMonitor(): boolean;
  isBarge(): boolean;
  isSilentMonitorEnabled(): boolean;
  isBargeEnabled(): boolean;
  isForcedMute(): boolean;
  canSendVideo(): boolean;
  canSendScreenShare(): boolean;
}
