// The shims of the SDK against the contracts that they are shaped like, as others wrote them; never run.
import * as base from "@salesforce/scv-connector-base";
import "amazon-connect-streams";
import { Linecard } from "../../web/sdk/linecard.js";
import { LinecardConnector } from "../../web/sdk/salesforce.js";
import { type Agent, type BaseConnection, type Connect, type Contact, type Endpoint, type VoiceConnection, streams } from "../../web/sdk/streams.js";

const linecard = new Linecard({ url: "https://linecard.example.com", token: "t" });

// Salesforce's library takes it. Its own types say that getAgentStatus gives the wrong class: its code takes an AgentVendorStatusInfo and nothing else.
type Vendor = Omit<base.VendorConnector, "getAgentStatus">;
const connector: Vendor & { getAgentStatus(): Promise<base.AgentVendorStatusInfo> } = new LinecardConnector(linecard, base, { voiceCallId: async (call) => `0LQ-${call.id}` });
base.initializeConnector(connector as unknown as base.VendorConnector);
const result: Promise<base.CallResult> = connector.dial(new base.Contact({ phoneNumber: "10010" }));
// @ts-expect-error the library is needed
new LinecardConnector(linecard);
// @ts-expect-error no such state
new LinecardConnector(linecard, base, { statuses: [{ id: "0N5", state: "asleep" }] });

// Streams' words are enums in its types, and texts in ours; what it says is a class is an object here.
type Plain<T> = T extends (...all: any[]) => infer Back ? (...all: any[]) => Plain<Back>
  : T extends string ? `${T}` : T extends number | boolean | Date | null | undefined | void ? T
  : T extends Promise<infer Later> ? Promise<Plain<Later>> : T extends (infer One)[] ? Plain<One>[] : T extends object ? { [Name in keyof T]: Plain<T[Name]> } : T;
/** What ours gives is what theirs gives; or nothing: Streams gives null as well, though its types do not say so. */
type Fits<Mine, Theirs> = { [Name in keyof Mine & keyof Theirs]: Back<Plain<Theirs[Name]>> extends void ? true : Back<Mine[Name]> extends Back<Plain<Theirs[Name]>> | null | undefined ? true : [Back<Mine[Name]>, Back<Plain<Theirs[Name]>>] };
type Back<Method> = Method extends (...all: any[]) => infer Result ? Loose<Result> : Method;
/** Objects of classes are looked at one by one below. */
type Loose<T> = T extends { toSnapshot(): unknown } | { getConnectionId(): unknown } ? "object" : T extends { stripPhoneNumber(): unknown } | { agentLogin: unknown } ? "endpoint" : T extends (infer One)[] ? Loose<One>[] : T extends Promise<infer Later> ? Promise<Loose<Later>> : T;
/** Where one does not fit, the error names it. */
type Misfits<Fit> = { [Name in keyof Fit as Fit[Name] extends true ? never : Name]: Fit[Name] };
const fits = <Fit>(_: {} extends Misfits<Fit> ? (keyof Misfits<Fit> extends never ? true : Misfits<Fit>) : Misfits<Fit>) => {};
fits<Fits<Agent, connect.Agent>>(true);
fits<Fits<Contact, connect.Contact>>(true);
fits<Fits<BaseConnection, connect.BaseConnection>>(true);
fits<Fits<VoiceConnection, connect.VoiceConnection>>(true);
fits<Fits<Endpoint, connect.Endpoint>>(true);
fits<Fits<Connect["core"], connect.Core>>(true);

// A page that was written for Streams, on ours.
const connect_: Connect = streams(linecard);
connect_.core.initCCP(document.body, { ccpUrl: "https://x.my.connect.aws/ccp-v2", loginPopup: true, softphone: { allowFramedSoftphone: true } });
connect_.contact((contact) => {
  contact.onConnecting((one) => one.accept({ failure: (message) => document.body.append(message) }));
  const one: string | null | undefined = contact.getCustomerEndpoint()?.phoneNumber;
  document.body.append(one ?? "", contact.getAttributes()["ivr.account"]?.value ?? "", String(result));
});
connect_.agent((agent) => {
  const [first] = agent.getAgentStates();
  if (first) agent.setState(first, { success: () => {} }, { enqueueNextState: true });
  // @ts-expect-error no such type of state
  agent.setState({ type: "asleep", name: "x" });
});
