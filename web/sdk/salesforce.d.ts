import type { AgentState, Call, Linecard } from "./linecard.js";

/** One method or event of a contract, and whether the shim has it. */
export interface Covered {
  name: string;
  covered: "yes" | "partly" | "no";
  /** What is different; for what is not covered: what to use instead. */
  note: string;
}

/** Of which version of the contract `COVERED` speaks. */
export const CONTRACT: string;
/** Every method of a VendorConnector and every event type. */
export const COVERED: Covered[];

/** A presence status of Salesforce, and the agent's state that it is. */
export interface Status {
  /** The id of the ServicePresenceStatus. */
  id: string;
  state: AgentState["state"];
  /** For `not-ready`: one of the daemon's reasons. */
  reason?: string;
}

export interface ConnectorOptions {
  /** The id of the VoiceCall record that your server made for the call (Telephony Integration API); Salesforce shows the record by it. */
  voiceCallId?: (call: Call) => string | undefined | Promise<string | undefined>;
  /** Which presence status is which state. */
  statuses?: Status[];
  /** Contacts to dial and to transfer to, for the filter that Salesforce asks with: what the library's `Contact` takes. */
  contacts?: (filter: any) => any[] | Promise<any[]>;
  /** Hears messages of Lightning components. */
  message?: (message: any) => void;
}

/** What a class of the library makes. */
export type Made<Base, Name extends string> = Base extends { [name in Name]: new (...all: any[]) => infer Result } ? Result : any;

/** A VendorConnector of Salesforce's contract on a Linecard: give it to `initializeConnector`. `Base` is the library, whole. */
export class LinecardConnector<Base = any> {
  /** Throws where the library lacks a class that is needed. The Linecard connects when Salesforce calls `init`. */
  constructor(linecard: Linecard, base: Base, options?: ConnectorOptions);
  /** Attaches the agent; resolves when everything as it is now is known. */
  init(config?: any): Promise<Made<Base, "InitResult">>;
  getActiveCalls(): Promise<Made<Base, "ActiveCallsResult">>;
  /** Resolves when the agent talks. */
  acceptCall(call: Made<Base, "PhoneCall">): Promise<Made<Base, "CallResult">>;
  declineCall(call: Made<Base, "PhoneCall">): Promise<Made<Base, "CallResult">>;
  /** Of the third party: back to the customer. Of the agent, who asks a colleague: the customer stays with them. Else hangs up. */
  endCall(call: Made<Base, "PhoneCall">, agentStatus?: string): Promise<Made<Base, "HangupResult">>;
  mute(): Promise<Made<Base, "MuteToggleResult">>;
  unmute(): Promise<Made<Base, "MuteToggleResult">>;
  hold(call?: Made<Base, "PhoneCall">): Promise<Made<Base, "HoldToggleResult">>;
  resume(call?: Made<Base, "PhoneCall">): Promise<Made<Base, "HoldToggleResult">>;
  setAgentStatus(agentStatus: string, statusInfo?: any, enqueueNextState?: boolean): Promise<Made<Base, "GenericResult">>;
  getAgentStatus(): Promise<Made<Base, "AgentVendorStatusInfo">>;
  dial(contact: Made<Base, "Contact">): Promise<Made<Base, "CallResult">>;
  sendDigits(digits: string): Promise<void>;
  /** Rejects without the option `contacts`. */
  getPhoneContacts(filter?: any): Promise<Made<Base, "PhoneContactsResult">>;
  /** Rejects. */
  swap(call1?: unknown, call2?: unknown): Promise<never>;
  conference(calls: Made<Base, "PhoneCall">[]): Promise<Made<Base, "HoldToggleResult">>;
  /** Asks a third party while the customer waits, or hands the call over at once. */
  addParticipant(contact: Made<Base, "Contact">, call: Made<Base, "PhoneCall">, isBlindTransfer?: boolean): Promise<Made<Base, "ParticipantResult">>;
  pauseRecording(call?: Made<Base, "PhoneCall">): Promise<Made<Base, "RecordingToggleResult">>;
  resumeRecording(call?: Made<Base, "PhoneCall">): Promise<Made<Base, "RecordingToggleResult">>;
  getAgentConfig(): Promise<Made<Base, "AgentConfigResult">>;
  setAgentConfig(config: Made<Base, "AgentConfig">): Promise<Made<Base, "GenericResult">>;
  getCapabilities(): Promise<Made<Base, "CapabilitiesResult">>;
  logout(): Promise<Made<Base, "LogoutResult">>;
  /** Throws without the option `message`. */
  handleMessage(message: object): void;
  /** Ends the wrap-up. What goes wrong is in the library's log. */
  wrapUpCall(call: Made<Base, "PhoneCall">): Promise<void>;
  /** `vendorCallKey` is the call's id. */
  getSignedRecordingUrl(recordingUrl: string, vendorCallKey: string, callId: string): Promise<Made<Base, "SignedRecordingUrlResult">>;
  downloadLogs(logs: string[]): void;
  logMessageToVendor(logLevel: string, message: string, payload: any): void;
  /** Rejects. */
  superviseCall(call?: unknown): Promise<never>;
  /** Rejects. */
  supervisorDisconnect(call?: unknown): Promise<never>;
  /** Rejects. */
  supervisorBargeIn(call?: unknown): Promise<never>;
}
