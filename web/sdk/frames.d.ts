// Made from docs/protocol/schemas: UPDATE_SCHEMAS=1 cargo test schemas

/** CSTA's agent states (ECMA-269, AgentState). */
export type AgentCondition = "not-ready" | "ready" | "logged-off" | "busy" | "working-after-call";

export type AgentLeg = "ringing" | "dialling" | "talking" | "holding";

/** The agent's own state. Goes to every screen of the agent. */
export interface AgentState {
  /** This screen gets the pops. Another one may ask for them with `screen.activate`. */
  active: boolean;
  agent: string;
  /** What comes after the call (`agent.next`). */
  next?: NextState | null;
  /** Not ready for longer than the reason allows. */
  overrun?: boolean;
  /** The agent's places in queues of switches that tell them. */
  queues?: InQueue[];
  /** For `not-ready`: why, one of the reasons of `welcome` or what somebody wrote at the switch. */
  reason?: string | null;
  /** How many screens the agent has open. */
  screens: number;
  /** Where the agent sits; null: nowhere, and no call comes before a `seat.claim`. Absent for who sits fixed. */
  seat?: Seat | null;
  /** Since when; absent where it was not seen to begin. */
  since?: string | null;
  state: AgentCondition;
  /** The agent's own day so far; absent until the day before the daemon's start was read. */
  today?: MyDay | null;
  /** Devices of the agent at which, as their switch tells, no phone is registered: no call rings there. Of whom the switch does not tell is not here. */
  unregistered?: AtSwitch[];
  /** Devices of the agent of which their switch tells nothing at present: a call may ring there without a pop. Not seen is not idle. */
  unseen?: AtSwitch[];
  /** For `working-after-call`: when the next call may come by itself. For `not-ready`: when its reason is overrun. */
  until?: string | null;
}

/** The same person's record at another system, and how the two were joined. */
export interface AlsoAt {
  by: AlsoBy;
  /** For `key`: its name. */
  key?: string | null;
  link: Reference;
  name?: string | null;
}

export type AlsoBy = "key" | "name" | "number";

/** Somebody's answer from outside: plain text of at most 2,000 characters, to be shown as such. */
export interface AnswerSeen {
  /** Who, as people know that one. */
  name: string;
  text: string;
}

/** The answers, never mixed up: "we could not ask" is not "nobody", and "nobody was asked" is neither. */
export type AnswerState = "pending" | "found" | "absent" | "ambiguous" | "unavailable" | "not-asked";

export interface Approver {
  role: string;
  /** The highest amount; absent: any. */
  up_to?: string | null;
}

/** A device where it is. */
export interface AtSwitch {
  /** As the switch names it. */
  device: string;
  switch: string;
}

/** How an attribute is to be shown, and whether it may be written. */
export interface AttributeField {
  /** Longest value in characters. */
  cap: number;
  /** For `choice`. */
  choices?: string[];
  label?: string | null;
  /** Its key in `attributes`. */
  name: string;
  type: FieldType;
  writable: boolean;
}

/** The states that an agent can be put into. */
export type Availability = "logged-off" | "not-ready" | "ready";

export type BlockState = "pending" | "fresh" | "stale" | "absent" | "unavailable" | "ambiguous";

/** Away: logged off, or ready without a page and in no queue. */
export interface BoardAgents {
  after_call: number;
  away: number;
  busy: number;
  not_ready: number;
  ready: number;
}

export interface BoardAlert {
  /** The rule (alerts.yaml). */
  alert: string;
  /** What it is about: a system, a switch. */
  subject: string;
  /** What people call it, by language; empty where the rule has none. */
  title: Record<string, string>;
}

/** Calls that are up. */
export interface BoardCalls {
  /** In an IVR, ringing without a queue, on their way out. */
  otherwise: number;
  talking: number;
  /** For an answer, in a queue. */
  waiting: number;
}

/** Calls that ended today, as docs/kpis.md counts them: offered without short abandons. */
export interface BoardHour {
  abandoned: number;
  answered: number;
  hour: number;
  in_time: number;
  offered: number;
}

/** From where on a figure is over its limit (linecard.yaml, `kpis.limits`). */
export interface BoardLimits {
  abandonment: number;
  longest_s: number;
  /** Percent. */
  service_level: number;
  waiting: number;
}

/** Calls that ended today, as docs/kpis.md counts them: offered without short abandons. */
export interface BoardQueue {
  abandoned: number;
  answered: number;
  in_time: number;
  /** So many seconds are in time. */
  in_time_s: number;
  /** What the line's row calls it. */
  label?: string | null;
  /** Since when the first of them does. */
  longest_since?: string | null;
  /** Agents in it, and those of them who are ready; absent where the switch does not tell. */
  members?: number | null;
  offered: number;
  /** As the switch names it; empty for calls that were in none. */
  queue: string;
  ready?: number | null;
  /** Callers who wait for an answer now. */
  waiting: number;
}

export type ByHand = "record-opened" | "number-copied" | "search-typed" | "ticket-outside";

/** Where a call is now, as this agent sees it. A call with neither `leg` nor `wrapup` leaves the screen. */
export interface CallChanged {
  /** The requests that do something to the call on this switch as it is now: `call.hangup` and the like; `recording.link` when it is over and was recorded. Replaces those of the pop and of the change before. */
  actions: string[];
  /** Everyone who has it on a phone now. */
  agents: OnPhone[];
  answered_at?: string | null;
  call: string;
  ended_at?: string | null;
  /** The agent's own part in it; absent when their phone has it no more. */
  leg?: AgentLeg | null;
  pop: string;
  role: Role;
  /** Since when `leg` is so. */
  since?: string | null;
  started_at?: string | null;
  /** The call as a whole. */
  state: CallState;
  /** The last transfer, if this change is one. */
  transferred?: Handover | null;
  /** The agent's part is over and the wrap-up is awaited. */
  wrapup?: WrapUpDue | null;
}

export type CallState = "queued" | "ringing" | "talking" | "held" | "ended" | "entered";

/** One customer who is to be called back. */
export interface CallbackEntry {
  /** Calls in vain. */
  attempts: number;
  callback: string;
  count: number;
  /** The number to show; digits in the middle are `*` when masked. */
  display: string;
  /** From when on it is time to call: within the hours in which customers are called, and some time after a call in vain. */
  due: string;
  /** Give it to `dial`: the callback is then claimed, and the call's `ref`. */
  handle: string;
  last: string;
  /** The title of the line that was called last. */
  line?: string | null;
  masked: boolean;
  name?: string | null;
  /** What the agent wrote who took the request. */
  note?: string | null;
  /** Who claimed it, and until when. */
  owner?: string | null;
  owner_name?: string | null;
  queue?: string | null;
  /** The first and the last time that the customer was missed or asked, and how often. */
  since: string;
  until?: string | null;
  why: Why;
}

/** Customers who are to be called back. */
export interface Callbacks {
  /** The first of them: what is due longest comes first. */
  list: CallbackEntry[];
  /** How many there are. */
  open: number;
}

/** Calls of a number that ended in the last days, with this tenant. */
export interface CalledBefore {
  /** Without this one. */
  calls: number;
  days: number;
  last_at?: string | null;
}

/** Who calls, and one block per source. */
export interface Card {
  /** The caller gave an account that no system knows; the number was looked up instead. */
  account_unknown?: boolean;
  answer: CardAnswer;
  /** Systems at which the number can be put to a customer (`customer.attach`), and at which one can be made (`customer.create`). */
  attach?: string[];
  blocks: CardBlock[];
  /** Best first. When found, the first is the one, and behind it are those that it was chosen from; also there when an agent said that it is none of them. */
  candidates: CardCandidate[];
  create?: string[];
  /** By which way the candidates were found. */
  found_by?: FoundBy | null;
  /** The one found is what an agent chose for this number in an earlier call; `candidate.forget` takes that back. */
  remembered?: Remembered | null;
  /** Many share this number: nobody is taken for the caller by it alone. */
  shared?: Shared | null;
}

export interface CardAnswer {
  /** For `unavailable` and `not-asked`: why, in English. */
  reason?: string | null;
  state: AnswerState;
  /** For `unavailable`: the reason as a word, for pages that say it in their reader's language. */
  trouble?: Trouble | null;
  /** For `not-asked`: why, for programs. */
  why?: NotAsked | null;
}

/** One source's facts, its state and its age. */
export interface CardBlock {
  /** When the facts were asked for; their age counts from here. */
  asked_at?: string | null;
  /** The facts, as the connector mapped them: an object or a list. */
  body?: unknown;
  /** The operation that fills it, for example `tickets.open`. */
  kind: string;
  /** For `unavailable`, and for `absent` where nothing could be asked: why, in English. */
  reason?: string | null;
  state: BlockState;
  system: string;
  title?: string | null;
  /** The reason as a word, for pages that say it in their reader's language. */
  trouble?: Trouble | null;
}

export interface CardCandidate {
  /** The same person at other systems. */
  also?: AlsoAt[];
  /** What the connector mapped: an object. */
  facts?: unknown;
  /** What `candidate.choose` takes. */
  id: string;
  /** The customer at the system. */
  link: Reference;
  name?: string | null;
  /** Why it matches, in a few words. */
  reason?: string | null;
  /** Why this one may be the caller, strongest first. */
  reasons?: Reason[];
  /** The page of this customer at the system. */
  url?: string | null;
}

/** What kind of number it is. */
export type Class = "mobile" | "geographic" | "extension" | "unknown" | "geographic-or-mobile" | "shared-cost" | "toll-free" | "service" | "emergency" | "sms-port" | "m2m" | "masked" | "international" | "anonymous" | "sip-user" | "invalid";

/** Why; for programs. */
export type Code = "busy" | "no-answer" | "not-registered" | "not-permitted" | "agent-in-call" | "unknown-target" | "not-dialable" | "switch-unavailable" | "timeout" | "blocked-number" | "forbidden-hours" | "cool-down" | "too-many-calls" | "unavailable-here" | "call-over" | "not-recording" | "bad-frame" | "unknown-type" | "bad-request" | "unknown-call" | "unknown-candidate" | "unknown-attribute" | "invalid-value" | "not-offered" | "dial-pending" | "verb-pending" | "no-device" | "unknown-callback" | "unknown-flow" | "invalid-input" | "outcome-required" | "callback-claimed" | "unknown-recording" | "recording-gone" | "call-up" | "seat-taken" | "unknown-seat" | "too-many" | "unavailable" | "unauthenticated";

export interface Colleague {
  agent: string;
  name?: string | null;
}

/** A number as a viewer may see it, and a handle by which it can be dialled even when it is masked. */
export interface Dialable {
  class: Class;
  /** What to show; digits in the middle are `*` when masked. Empty when the number was withheld. */
  display: string;
  /** Absent when masked or when the number is no such number. */
  e164?: string | null;
  /** Give it to `dial`; opaque, good while the call is on the agent's screen. */
  handle?: string | null;
  masked: boolean;
}

export type Direction = "inbound" | "outbound" | "internal";

export interface DoneThere {
  at: string;
  id?: string | null;
  operation: string;
  step: string;
  system: string;
}

/** What is wrong with a value that was kept all the same. */
export type Fault = "undecoded" | "cut" | "misfit";

export type FieldType = "text" | "digits" | "number" | "date" | "choice";

export interface FlowInput {
  choices?: string[];
  /** By language; empty: the name will do. */
  label: Record<string, string>;
  max?: string | null;
  /** For `amount`. */
  min?: string | null;
  name: string;
  required: boolean;
  type: Kind;
}

/** A flow with a button, and what it must be told. */
export interface FlowOffer {
  inputs: FlowInput[];
  /** What `flow.start` takes. */
  name: string;
  /** By language. */
  title: Record<string, string>;
}

/** Where a flow stands. */
export interface FlowSeen {
  /** What this agent may say: `flow.approve`, `flow.refuse`, `flow.stop`, `flow.task`. */
  actions: string[];
  /** Who asked for it. */
  agent?: string | null;
  amount?: string | null;
  /** Who may agree, and up to which amount. */
  approvers?: Approver[];
  call?: string | null;
  flow: string;
  name: string;
  /** Why it was stopped. */
  reason?: string | null;
  since: string;
  state: FlowState;
  steps: StepSeen[];
  /** What waits for a person; for supervisors. */
  tasks?: TaskSeen[];
  /** By language. */
  title: Record<string, string>;
  /** The reason as a word, where it is one that we know. */
  trouble?: Trouble | null;
}

export type FlowState = "running" | "done" | "approval" | "undoing" | "person" | "undone";

/** What an agent may begin, and what is under way that is theirs to see. */
export interface Flows {
  /** Newest first. */
  list: FlowSeen[];
  offers: FlowOffer[];
}

export type FoundBy = "number" | "account";

/** An agent's part in a call that is over. */
export interface HadBy {
  agent: string;
  /** From their answer until they had it no more; absent where one of the two was not seen. */
  ms?: number | null;
  name?: string | null;
}

export interface Handover {
  from: string;
  kind: TransferKind;
  /** The agent who has it now, if it is one. */
  to?: string | null;
}

/** How a seat was taken. */
export type How = "page" | "queue";

/** A place in a queue. */
export interface InQueue {
  /** It is a login, and `queue.logout` ends it. */
  may_leave: boolean;
  /** As the switch names it. */
  queue: string;
  reason?: string | null;
  since: string;
  /** Never `busy`: whether calls of this queue come, apart from the agent's calls. */
  state: AgentCondition;
  switch: string;
}

export type Kind = "text" | "choice" | "amount" | "date" | "list";

/** A switch or a business system came or went. */
export interface Link {
  id: string;
  kind: LinkKind;
  /** Why it is away, without personal data. */
  reason?: string | null;
  since: string;
  up: boolean;
}

export type LinkKind = "switch" | "system";

/** Who the token says the client is. */
export interface Me {
  id: string;
  name?: string | null;
  /** The token's, and those that the directory adds. */
  roles: string[];
  tenant: string;
}

/** One agent as their supervisor sees them. */
export interface Member {
  /** What this supervisor can do about it now: `call.listen` and the like at that switch, and `agent.state`. */
  actions: string[];
  agent: string;
  /** The call that they talk in, else the one that rings. */
  call?: MemberCall | null;
  /** The agent has a page open. */
  here: boolean;
  /** A queue of a switch has them logged in. */
  in_queue?: boolean;
  name?: string | null;
  /** The reason's time is over. */
  overrun?: boolean;
  /** For `not-ready`. */
  reason?: string | null;
  /** Since when: the state, or with a call the agent's part in it. Absent where that is not known. */
  since?: string | null;
  state: AgentCondition;
  /** A phone of theirs is not registered. */
  unregistered?: boolean;
  /** The switch tells nothing of a phone of theirs: not seen is not idle. */
  unseen?: boolean;
}

/** What a supervisor sees of the call of an agent. */
export interface MemberCall {
  call: string;
  direction?: Direction | null;
  leg: AgentLeg;
  name?: string | null;
  /** The customer, as this supervisor may see the number. */
  number?: Dialable | null;
  queue?: string | null;
  role: Role;
  /** The line's title, and the queue's label. */
  title?: string | null;
}

/** CSAT of a day: good answers of all, as docs/kpis.md counts them. */
export interface MyCsat {
  good: number;
  of: number;
}

/** An agent's own calls of the day, as docs/kpis.md counts them. */
export interface MyDay {
  /** That the agent talked on. */
  calls: number;
  /** What their customers answered in a survey; absent where no switch's file has such an attribute. */
  csat?: MyCsat | null;
  /** Talk, hold and wrap of these together. */
  handling_ms: number;
  /** When the day ends: from then on these are yesterday's. */
  until: string;
}

/** A queue that the agent is in. */
export interface MyQueue {
  /** Since when the first of them does. */
  longest_since?: string | null;
  /** What its agents are to read, as agents.yaml has it. */
  notice?: string | null;
  /** As the switch names it. */
  queue: string;
  /** Callers who wait for an answer now. */
  waiting: number;
}

export interface NextState {
  reason?: string | null;
  state: Availability;
}

/** Why no system was asked. */
export type NotAsked = "withheld" | "internal" | "own" | "emergency" | "bulk-sms" | "machine" | "stand-in" | "sip-name" | "no-system";

export interface Note {
  agent: string;
  text: string;
}

export interface OnPhone {
  agent: string;
  name?: string | null;
  role: Role;
  state: AgentLeg;
}

/** When a record's page opens without a click. */
export type Opens = "never" | "answered";

export type Origin = "phone" | "click-to-dial" | "callback" | "campaign" | "flow";

/** A call on the agent's screen. `pop.updated` is the same, whole, and replaces it. */
export interface Pop {
  /** The requests that make sense for this pop now. */
  actions: string[];
  /** Attributes that are not what their mapping says: `undecoded` (shown as it came), `cut` at its cap, `misfit` (not of its type). */
  attribute_faults?: Record<string, Fault>;
  /** What the switch told of the call by mapping, for example what was keyed in the IVR. */
  attributes?: Record<string, string>;
  brand?: string | null;
  call: string;
  /** Inbound calls of this number before this one; absent where that is not known (yet). */
  called_before?: CalledBefore | null;
  /** Who calls, and what is known of them. */
  card: Card;
  /** The candidate an agent chose; null when an agent said that it is none of them; absent while nobody chose. */
  chosen?: string | null;
  /** The device that rings, as the switch names it. */
  device: string;
  direction?: Direction | null;
  /** Attributes that have a label or that this agent may write (`attribute.set`), in the order of the switch's file. */
  fields?: AttributeField[];
  /** Agents who talked with the customer on this call before and have it no more, in the order in which they had it. */
  had_by?: HadBy[];
  language?: string | null;
  /** The line that was called. */
  line?: Dialable | null;
  /** The name that the switch showed. A name that a business system knows is in the card. */
  name?: string | null;
  /** What colleagues wrote on this call so far (consultation and transfer). */
  notes?: Note[];
  /** The customer's number as this agent may see it; absent when none is known. */
  number?: Dialable | null;
  origin: Origin;
  /** `wrapup.submit` of this call is not taken without a `disposition`. */
  outcome_required?: boolean;
  /** Stable: the same offer has the same id after a restart. A client drops ids it knows. */
  pop: string;
  queue?: Queue | null;
  /** The record or ticket the call was started from. */
  ref?: Reference | null;
  /** Why this agent has it. */
  role: Role;
  /** The page to open for this call (trunks.yaml, `target`): http or https, its values percent-encoded. Absent: the card, or a value is not known yet. */
  target?: string | null;
  /** What the line that was called is called (trunks.yaml). */
  title?: string | null;
  /** Since when the customer waits (first queue, else start of the call). */
  waited_since?: string | null;
}

export interface Queue {
  /** As the switch names it. */
  id: string;
  /** What to show: the label of the line's row, else the id. */
  label: string;
  /** How many others waited in it for an answer when this frame was made; absent once the call was answered. */
  waiting?: number | null;
}

/** Why a person may be the caller. */
export type Reason = {
  agent: string;
  at: string;
  kind: "chosen";
} | {
  kind: "account";
} | {
  count: number;
  kind: "open-tickets";
} | {
  count: number;
  kind: "open-orders";
} | {
  agent?: string | null;
  at: string;
  kind: "last-call";
} | {
  at: string;
  kind: "last-contact";
} | {
  agent: string;
  kind: "owner";
} | {
  at: string;
  kind: "updated";
};

export interface ReasonChoice {
  id: string;
  /** What to show; absent: a client's own words for the id. */
  label?: string | null;
  /** After so many seconds it is overrun. */
  limit_s?: number | null;
}

/** Where a recording can be heard for a while: a path below the address of this socket, for a player of this one recording. Ranges may be asked for. */
export interface RecordingLink {
  expires_at: string;
  of: number;
  /** Which of the call's recordings it is, from 0, and how many there are. */
  recording: number;
  /** It opens the recording to whoever has it: keep it out of logs. */
  url: string;
}

/** The record or ticket a call was started from. */
export interface Reference {
  id: string;
  system: string;
  type: string;
}

export interface Remembered {
  agent: string;
  at: string;
}

/** Why the agent has it. */
export type Role = "inbound" | "outbound" | "consult" | "transfer" | "internal";

/** A seat and since when. */
export interface Seat {
  /** As the switch names it. */
  device: string;
  how: How;
  since: string;
  switch: string;
}

/** What a person found or did. */
export type Settled = "done" | "not-done" | "again";

/** Why a number is taken for a shared one. */
export type Shared = "listed" | "many";

/** One call on the agent's screen. */
export interface SnapshotCall {
  /** What this agent wrote on the call so far. */
  notes?: string | null;
  pop: Pop;
  /** This pop was sent to a screen of this agent before: draw it, do not announce it. */
  shown: boolean;
  state: CallChanged;
  /** What became of what was asked to be written, as it was told last. */
  wishes?: Wish[];
}

export interface StepSeen {
  /** What somebody answered. */
  answer?: AnswerSeen | null;
  at?: string | null;
  attempts?: number;
  /** For `done`: the person who did or allowed it. */
  by?: string | null;
  /** Free of personal data. */
  reason?: string | null;
  state: StepState;
  step: string;
  /** By language; empty: the name will do. */
  title?: Record<string, string>;
  /** The reason as a word, where it is one that we know. */
  trouble?: Trouble | null;
  /** For `approval` and `answer`: until when. */
  until?: string | null;
}

export type StepState = "trying" | "done" | "skipped" | "failed" | "undoing" | "undone" | "open" | "approval" | "answer" | "person";

/** What can be done at a business system. */
export interface SystemOffer {
  id: string;
  /** `search`, `comment`, `reopen`, `assign` and `escalate`, as far as there: each is a request `ticket.` and the word. */
  tickets: string[];
  /** What people call it: the connector's own title. */
  title?: string | null;
  /** Fields of its customers that `customer.update` may change. */
  update?: string[];
}

export type TaskKind = "decide" | "undo" | "finish";

/** Something for a person. */
export interface TaskSeen {
  at: string;
  /** What was done so far. */
  done: DoneThere[];
  /** What the operation was told. */
  inputs: unknown;
  /** By which the system knows it. */
  key: string;
  kind: TaskKind;
  operation: string;
  reason: string;
  settled?: Settled | null;
  step: string;
  system: string;
  taken?: string | null;
  task: number;
  /** The reason as a word, where it is one that we know. */
  trouble?: Trouble | null;
}

export type TaskWord = "take" | "done" | "not-done" | "again";

/** The agents of a supervisor's teams. */
export interface Team {
  /** How many there are. */
  agents: number;
  /** The first of them, by id. */
  list: Member[];
}

/** A ticket of this call's card, or one that was found by a search for this call. */
export interface TicketAt {
  id: string;
  system: string;
}

export type TransferKind = "blind" | "attended";

export type Trouble = {
  kind: "not-found";
} | {
  kind: "denied";
} | {
  kind: "auth-expired";
} | {
  kind: "ambiguous";
} | {
  kind: "invalid";
} | {
  kind: "conflict";
} | {
  kind: "rate-limited";
  /** When it may be asked again, where it says so. */
  seconds?: number | null;
} | {
  kind: "busy";
} | {
  kind: "broken";
} | {
  kind: "unknown";
} | {
  kind: "late";
  seconds: number;
} | {
  kind: "not-asked";
} | {
  kind: "no-key";
} | {
  kind: "taken-out";
} | {
  kind: "full";
} | {
  hours: number;
  kind: "given-up";
} | {
  kind: "undecidable";
} | {
  kind: "refused";
} | {
  kind: "stopped";
} | {
  kind: "no-agreement";
} | {
  kind: "no-reply";
} | {
  kind: "not-tried";
} | {
  kind: "not-done";
} | {
  kind: "left-out";
} | {
  kind: "interrupted";
} | {
  kind: "unworkable";
} | {
  kind: "no-call";
} | {
  count: number;
  kind: "too-many";
  most: number;
};

export type Why = "missed" | "abandoned" | "asked";

/** What became of something that was to be written at a business system for a call: a number put to a customer, a customer made or changed, words on a ticket. Its request was answered when it was durable; this is told when the system was asked. */
export interface Wish {
  call: string;
  /** Why it is not done, in English and without personal data. */
  reason?: string | null;
  state: WishState;
  system: string;
  /** Its id, where it is about a ticket. */
  ticket?: string | null;
  /** The reason as a word, where it is one that we know. */
  trouble?: Trouble | null;
  /** The operation: `note.add` (a comment), `ticket.reopen`, `ticket.assign`, `ticket.escalate`, `customer.update`, `customer.attach`, `customer.create`. */
  what: string;
  /** The same for each news of it. */
  wish: string;
}

export type WishState = "done" | "later" | "refused" | "person";

/** Why a pop is taken back; the words of `pop.withdrawn`. */
export type Withdrawal = "answered-elsewhere" | "no-answer" | "rejected" | "caller-gone" | "transferred" | "lost";

export interface WrapUpDue {
  /** `wrapup.extend` puts that off. */
  may_extend: boolean;
  /** When the agent may get the next call although it is still awaited; absent: not before, or since long. */
  ready_at?: string | null;
  /** When the agent's part ended. */
  since: string;
  /** When the daemon stops waiting for it. */
  until: string;
}

/** The token was accepted. The stream begins when the client says `resume`. */
export interface Welcome {
  agent: Me;
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  /** Changes with every start of the daemon's core; seqs of another epoch mean nothing. */
  epoch: number;
  /** What this daemon can do beyond version 1 of the protocol; empty today. */
  features: string[];
  /** When the page of the call's record opens by itself: the pop's `target`, else the `url` of the customer found or chosen. */
  open: Opens;
  /** What may be chosen as the outcome of a call, by queue as the switch names it; `*` for every other. Each is a path, `repair/rebooked`. */
  outcomes?: Record<string, string[]>;
  /** The socket is closed with 1013 or found dead when pings, sent each so many milliseconds, stay without an answer twice. */
  ping_ms: number;
  /** Queues that the agent may log in to and out of, as the switches name them. */
  queues: string[];
  /** Why the agent may be not ready. */
  reasons: ReasonChoice[];
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  /** Business systems that have a name, or at which something can be done from a screen; as of this welcome. */
  systems?: SystemOffer[];
  type: "welcome";
}

/** Answer to a `resume` whose place in the stream is still known: the frames that were missed follow. */
export interface Resumed {
  agent: AgentState;
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  links: Link[];
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  type: "resumed";
}

/** Answer to any other `resume`, and to a screen that becomes the active one: everything as it is now. */
export interface Snapshot {
  agent: AgentState;
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  /** Empty for a screen that is not the active one. */
  calls: SnapshotCall[];
  links: Link[];
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  type: "snapshot";
}

/** A call on the agent's screen. `pop.updated` is the same, whole, and replaces it. */
export interface Pop {
  /** The requests that make sense for this pop now. */
  actions: string[];
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  /** Attributes that are not what their mapping says: `undecoded` (shown as it came), `cut` at its cap, `misfit` (not of its type). */
  attribute_faults?: Record<string, Fault>;
  /** What the switch told of the call by mapping, for example what was keyed in the IVR. */
  attributes?: Record<string, string>;
  brand?: string | null;
  call: string;
  /** Inbound calls of this number before this one; absent where that is not known (yet). */
  called_before?: CalledBefore | null;
  /** Who calls, and what is known of them. */
  card: Card;
  /** The candidate an agent chose; null when an agent said that it is none of them; absent while nobody chose. */
  chosen?: string | null;
  /** The device that rings, as the switch names it. */
  device: string;
  direction?: Direction | null;
  /** Attributes that have a label or that this agent may write (`attribute.set`), in the order of the switch's file. */
  fields?: AttributeField[];
  /** Agents who talked with the customer on this call before and have it no more, in the order in which they had it. */
  had_by?: HadBy[];
  language?: string | null;
  /** The line that was called. */
  line?: Dialable | null;
  /** The name that the switch showed. A name that a business system knows is in the card. */
  name?: string | null;
  /** What colleagues wrote on this call so far (consultation and transfer). */
  notes?: Note[];
  /** The customer's number as this agent may see it; absent when none is known. */
  number?: Dialable | null;
  origin: Origin;
  /** `wrapup.submit` of this call is not taken without a `disposition`. */
  outcome_required?: boolean;
  /** Stable: the same offer has the same id after a restart. A client drops ids it knows. */
  pop: string;
  queue?: Queue | null;
  /** The record or ticket the call was started from. */
  ref?: Reference | null;
  /** Why this agent has it. */
  role: Role;
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  /** The page to open for this call (trunks.yaml, `target`): http or https, its values percent-encoded. Absent: the card, or a value is not known yet. */
  target?: string | null;
  /** What the line that was called is called (trunks.yaml). */
  title?: string | null;
  type: "pop";
  /** Since when the customer waits (first queue, else start of the call). */
  waited_since?: string | null;
}

/** A call on the agent's screen. `pop.updated` is the same, whole, and replaces it. */
export interface PopUpdated {
  /** The requests that make sense for this pop now. */
  actions: string[];
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  /** Attributes that are not what their mapping says: `undecoded` (shown as it came), `cut` at its cap, `misfit` (not of its type). */
  attribute_faults?: Record<string, Fault>;
  /** What the switch told of the call by mapping, for example what was keyed in the IVR. */
  attributes?: Record<string, string>;
  brand?: string | null;
  call: string;
  /** Inbound calls of this number before this one; absent where that is not known (yet). */
  called_before?: CalledBefore | null;
  /** Who calls, and what is known of them. */
  card: Card;
  /** The candidate an agent chose; null when an agent said that it is none of them; absent while nobody chose. */
  chosen?: string | null;
  /** The device that rings, as the switch names it. */
  device: string;
  direction?: Direction | null;
  /** Attributes that have a label or that this agent may write (`attribute.set`), in the order of the switch's file. */
  fields?: AttributeField[];
  /** Agents who talked with the customer on this call before and have it no more, in the order in which they had it. */
  had_by?: HadBy[];
  language?: string | null;
  /** The line that was called. */
  line?: Dialable | null;
  /** The name that the switch showed. A name that a business system knows is in the card. */
  name?: string | null;
  /** What colleagues wrote on this call so far (consultation and transfer). */
  notes?: Note[];
  /** The customer's number as this agent may see it; absent when none is known. */
  number?: Dialable | null;
  origin: Origin;
  /** `wrapup.submit` of this call is not taken without a `disposition`. */
  outcome_required?: boolean;
  /** Stable: the same offer has the same id after a restart. A client drops ids it knows. */
  pop: string;
  queue?: Queue | null;
  /** The record or ticket the call was started from. */
  ref?: Reference | null;
  /** Why this agent has it. */
  role: Role;
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  /** The page to open for this call (trunks.yaml, `target`): http or https, its values percent-encoded. Absent: the card, or a value is not known yet. */
  target?: string | null;
  /** What the line that was called is called (trunks.yaml). */
  title?: string | null;
  type: "pop.updated";
  /** Since when the customer waits (first queue, else start of the call). */
  waited_since?: string | null;
}

/** The pop is taken back: the agent does not have this call. */
export interface PopWithdrawn {
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  /** For `answered-elsewhere`: the agent who took it, where it was one. */
  by?: Colleague | null;
  call: string;
  pop: string;
  reason: Withdrawal;
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  type: "pop.withdrawn";
}

/** Where a call is now, as this agent sees it. A call with neither `leg` nor `wrapup` leaves the screen. */
export interface CallChanged {
  /** The requests that do something to the call on this switch as it is now: `call.hangup` and the like; `recording.link` when it is over and was recorded. Replaces those of the pop and of the change before. */
  actions: string[];
  /** Everyone who has it on a phone now. */
  agents: OnPhone[];
  answered_at?: string | null;
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  call: string;
  ended_at?: string | null;
  /** The agent's own part in it; absent when their phone has it no more. */
  leg?: AgentLeg | null;
  pop: string;
  role: Role;
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  /** Since when `leg` is so. */
  since?: string | null;
  started_at?: string | null;
  /** The call as a whole. */
  state: CallState;
  /** The last transfer, if this change is one. */
  transferred?: Handover | null;
  type: "call.changed";
  /** The agent's part is over and the wrap-up is awaited. */
  wrapup?: WrapUpDue | null;
}

/** The agent's own state. Goes to every screen of the agent. */
export interface AgentChanged {
  /** This screen gets the pops. Another one may ask for them with `screen.activate`. */
  active: boolean;
  agent: string;
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  /** What comes after the call (`agent.next`). */
  next?: NextState | null;
  /** Not ready for longer than the reason allows. */
  overrun?: boolean;
  /** The agent's places in queues of switches that tell them. */
  queues?: InQueue[];
  /** For `not-ready`: why, one of the reasons of `welcome` or what somebody wrote at the switch. */
  reason?: string | null;
  /** How many screens the agent has open. */
  screens: number;
  /** Where the agent sits; null: nowhere, and no call comes before a `seat.claim`. Absent for who sits fixed. */
  seat?: Seat | null;
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  /** Since when; absent where it was not seen to begin. */
  since?: string | null;
  state: AgentCondition;
  /** The agent's own day so far; absent until the day before the daemon's start was read. */
  today?: MyDay | null;
  type: "agent.changed";
  /** Devices of the agent at which, as their switch tells, no phone is registered: no call rings there. Of whom the switch does not tell is not here. */
  unregistered?: AtSwitch[];
  /** Devices of the agent of which their switch tells nothing at present: a call may ring there without a pop. Not seen is not idle. */
  unseen?: AtSwitch[];
  /** For `working-after-call`: when the next call may come by itself. For `not-ready`: when its reason is overrun. */
  until?: string | null;
}

/** A switch or a business system came or went. */
export interface LinkChanged {
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  id: string;
  kind: LinkKind;
  /** Why it is away, without personal data. */
  reason?: string | null;
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  since: string;
  type: "link.changed";
  up: boolean;
}

export interface BoardChanged {
  /** The agents of the supervisor's teams. */
  agents: BoardAgents;
  /** What fires now. */
  alerts: BoardAlert[];
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  calls: BoardCalls;
  /** False: the day until the daemon started is still being read, and today's figures are those since then. */
  complete: boolean;
  /** Today, by the hour in which calls ended; hours without a call are not here. */
  hours: BoardHour[];
  limits: BoardLimits;
  /** By name. */
  queues: BoardQueue[];
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  type: "board.changed";
}

export interface QueuesChanged {
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  /** What every agent is to read, as agents.yaml has it. */
  notice?: string | null;
  /** By name; none of switches that do not tell who is in their queues. */
  queues: MyQueue[];
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  type: "queues.changed";
}

/** One agent as their supervisor sees them. */
export interface TeamChanged {
  /** What this supervisor can do about it now: `call.listen` and the like at that switch, and `agent.state`. */
  actions: string[];
  agent: string;
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  /** The call that they talk in, else the one that rings. */
  call?: MemberCall | null;
  /** The agent has a page open. */
  here: boolean;
  /** A queue of a switch has them logged in. */
  in_queue?: boolean;
  name?: string | null;
  /** The reason's time is over. */
  overrun?: boolean;
  /** For `not-ready`. */
  reason?: string | null;
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  /** Since when: the state, or with a call the agent's part in it. Absent where that is not known. */
  since?: string | null;
  state: AgentCondition;
  type: "team.changed";
  /** A phone of theirs is not registered. */
  unregistered?: boolean;
  /** The switch tells nothing of a phone of theirs: not seen is not idle. */
  unseen?: boolean;
}

/** Where a flow stands. */
export interface FlowChanged {
  /** What this agent may say: `flow.approve`, `flow.refuse`, `flow.stop`, `flow.task`. */
  actions: string[];
  /** Who asked for it. */
  agent?: string | null;
  amount?: string | null;
  /** Who may agree, and up to which amount. */
  approvers?: Approver[];
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  call?: string | null;
  flow: string;
  name: string;
  /** Why it was stopped. */
  reason?: string | null;
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  since: string;
  state: FlowState;
  steps: StepSeen[];
  /** What waits for a person; for supervisors. */
  tasks?: TaskSeen[];
  /** By language. */
  title: Record<string, string>;
  /** The reason as a word, where it is one that we know. */
  trouble?: Trouble | null;
  type: "flow.changed";
}

/** What became of something that was to be written at a business system for a call: a number put to a customer, a customer made or changed, words on a ticket. Its request was answered when it was durable; this is told when the system was asked. */
export interface WishChanged {
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  call: string;
  /** Why it is not done, in English and without personal data. */
  reason?: string | null;
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  state: WishState;
  system: string;
  /** Its id, where it is about a ticket. */
  ticket?: string | null;
  /** The reason as a word, where it is one that we know. */
  trouble?: Trouble | null;
  type: "wish.changed";
  /** The operation: `note.add` (a comment), `ticket.reopen`, `ticket.assign`, `ticket.escalate`, `customer.update`, `customer.attach`, `customer.create`. */
  what: string;
  /** The same for each news of it. */
  wish: string;
}

/** What a request promised is durable. */
export interface Done {
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  /** For `dial`: the call, whose agent leg now exists. For a verb on a call: that call. */
  call?: string | null;
  /** For `callback.list`. */
  callbacks?: Callbacks | null;
  /** For `customer.search`. */
  candidates?: CardCandidate[] | null;
  /** For `flow.start`: its id. */
  flow?: string | null;
  /** For `flow.list`. */
  flows?: Flows | null;
  /** The request's own. */
  id: string;
  /** For `recording.link`. */
  link?: RecordingLink | null;
  /** For `call.record.start`: what the switch calls the recording. */
  recording?: string | null;
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  /** For `call.park`: what to dial to fetch the call, where the switch says it. */
  space?: string | null;
  /** For `team.list`. */
  team?: Team | null;
  /** For `ticket.search`: objects as the systems give them, each with its `system`, `id` and, where there is one, its `url`. */
  tickets?: unknown[] | null;
  type: "done";
}

/** A request was refused, or came to nothing. */
export interface Failed {
  /** For `seat-taken`: who has it. */
  agent?: string | null;
  /** The server's time, RFC 3339 UTC with milliseconds. */
  at: string;
  code: Code;
  /** The request's own; absent when the frame could not be read that far. */
  id?: string | null;
  /** A lower-case fragment for people, in English, without personal data. */
  message: string;
  name?: string | null;
  /** Counts the agent's stream from 1; 0: no part of the stream. Remember the highest. */
  seq: number;
  type: "failed";
}

/** What the daemon says. */
export type Frame = Welcome | Resumed | Snapshot | Pop | PopUpdated | PopWithdrawn | CallChanged | AgentChanged | LinkChanged | BoardChanged | QueuesChanged | TeamChanged | FlowChanged | WishChanged | Done | Failed;

/** What can be asked, by its type: the body without `type` and `id`. */
export interface Requests {
  /** First frame, unless the token came as a subprotocol; later with a fresh token of the same agent, to stay on. */
  "authenticate": {
    /** A JWT. */
    token: string;
  };
  /** Says which candidate it is; null: none of them, or, where nobody was found, only the call is kept. The record then says `nobody`. */
  "candidate.choose": {
    call: string;
    candidate?: string | null;
  };
  /** Takes back who was said to be the customer, and what an earlier call's choice said of this number. */
  "candidate.forget": {
    call: string;
  };
  /** Looks for a customer by number, name or whatever the systems take. */
  "customer.search": {
    /** The call it is for: what is found can then be chosen for it. */
    call?: string | null;
    query: string;
  };
  /** Puts the call's number to this customer (of the card or of a search for this call), who is then the call's customer. `done` when it is sure to be delivered. */
  "customer.attach": {
    call: string;
    candidate: string;
  };
  /** Makes a customer of the call's number; once in a call. `done` when it is sure to be delivered. */
  "customer.create": {
    call: string;
    company?: string | null;
    email?: string | null;
    name: string;
    /** One of the card's `create`; absent: the first. */
    system?: string | null;
  };
  /** Changes what a system knows of the call's customer. `done` when it is sure to be delivered; what came of it is told by `wish.changed`. What somebody else changed since it was shown is not written over. */
  "customer.update": {
    call: string;
    /** New values, by names of its `update`. */
    fields: Record<string, string>;
    /** One of the welcome's `systems`. */
    system: string;
    /** The values that were shown, of the same names; empty where there was none. */
    was?: Record<string, string>;
  };
  /** Looks for tickets, open and closed ones, by words or by number. */
  "ticket.search": {
    /** The call it is for: what is found can then be written on. */
    call?: string | null;
    query: string;
    /** Only tickets of the call's customer. */
    theirs?: boolean;
  };
  /** Words on a ticket. `done` when they are sure to be delivered. */
  "ticket.comment": {
    call: string;
    /** Not for the customer's eyes, where the system tells the two apart. */
    private?: boolean;
    text: string;
    ticket: TicketAt;
  };
  /** A closed ticket is opened again. */
  "ticket.reopen": {
    call: string;
    /** Why. */
    text: string;
    ticket: TicketAt;
  };
  /** A ticket becomes somebody's. */
  "ticket.assign": {
    call: string;
    ticket: TicketAt;
    /** An agent's id; absent: who asks. The directory says who that is at the system. */
    to?: string | null;
  };
  /** A ticket becomes more urgent, or another group's. */
  "ticket.escalate": {
    call: string;
    /** The group or queue it goes into, as the system names it. */
    into?: string | null;
    /** As the system names it. */
    priority?: string | null;
    /** Why. */
    text: string;
    ticket: TicketAt;
  };
  /** The whole text so far; replaces what this agent wrote on this call before. */
  "notes.set": {
    call: string;
    text: string;
  };
  /** Writes an attribute of the call that the pop's `fields` call writable. Everybody who has the call sees it. */
  "attribute.set": {
    call: string;
    name: string;
    /** Empty takes it back. */
    value: string;
  };
  /** Completes the agent's part in a call. */
  "wrapup.submit": {
    call: string;
    /** A path in the disposition tree, for example `["billing", "refund"]`. */
    disposition?: string[];
    notes?: string | null;
    /** Asks for a follow-up ticket. */
    ticket?: boolean;
  };
  /** Click-to-dial: the agent's phone rings first, then the number is dialled. One of `number` and `handle`. */
  "dial": {
    /** Of a number in a pop, or of a callback. */
    handle?: string | null;
    number?: string | null;
    /** The record or ticket it is for. */
    ref?: Reference | null;
  };
  /** The customers to be called back, as far as they are the agent's teams' or everybody's. */
  "callback.list": {
    /** 0: only how many there are. Default: 50. */
    most?: number | null;
  };
  /** `callback.claim`: for a while it is this agent's, and nobody else calls. `callback.release`: it is anybody's again. `callback.close`: nothing more is to be done about it. */
  "callback.claim": {
    callback: string;
  };
  /** `callback.claim`: for a while it is this agent's, and nobody else calls. `callback.release`: it is anybody's again. `callback.close`: nothing more is to be done about it. */
  "callback.release": {
    callback: string;
  };
  /** `callback.claim`: for a while it is this agent's, and nobody else calls. `callback.release`: it is anybody's again. `callback.close`: nothing more is to be done about it. */
  "callback.close": {
    callback: string;
  };
  /** The customer of this call asks to be called back. */
  "callback.ask": {
    call: string;
    /** For whoever calls. */
    note?: string | null;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.answer": {
    call: string;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.hangup": {
    call: string;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.hold": {
    call: string;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.retrieve": {
    call: string;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.mute": {
    call: string;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.unmute": {
    call: string;
  };
  /** Presses keys, for the other side to hear. */
  "call.digits": {
    call: string;
    /** 0 to 9, `*`, `#`, A to D. */
    digits: string;
  };
  /** Sends the call to an extension or a number: at once (`call.transfer`), or to be asked first while the customer waits (`call.consult`). */
  "call.transfer": {
    call: string;
    /** Digits, `*`, `#`, a leading plus, and what people put between digits. */
    to: string;
  };
  /** Sends the call to an extension or a number: at once (`call.transfer`), or to be asked first while the customer waits (`call.consult`). */
  "call.consult": {
    call: string;
    /** Digits, `*`, `#`, a leading plus, and what people put between digits. */
    to: string;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.complete": {
    call: string;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.cancel": {
    call: string;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.conference": {
    call: string;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.park": {
    call: string;
  };
  /** Fetches a call to this agent's phone: one on the screen that is parked, or the one that rings at a colleague of a team of this agent. One of `call` and `agent`. */
  "call.pickup": {
    agent?: string | null;
    call?: string | null;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.record.start": {
    call: string;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.record.stop": {
    call: string;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.record.pause": {
    call: string;
  };
  /** Does something to a call that is on this agent's screen: `call.answer`, `call.hangup` (while it rings: declines), `call.hold`, `call.retrieve`, `call.mute`, `call.unmute`, `call.complete` (the customer and who was consulted go together), `call.cancel` (back to the customer), `call.conference` (all three), `call.park`, `call.record.start`, `call.record.stop`, `call.record.pause`, `call.record.resume`. */
  "call.record.resume": {
    call: string;
  };
  /** For the role `supervisor`, on the call that an agent of one of their teams talks in: hears it (`call.listen`), is heard by the agent alone (`call.whisper`) or by both (`call.barge`), or takes it over (`call.take`). The supervisor's phone rings first. */
  "call.listen": {
    agent: string;
  };
  /** For the role `supervisor`, on the call that an agent of one of their teams talks in: hears it (`call.listen`), is heard by the agent alone (`call.whisper`) or by both (`call.barge`), or takes it over (`call.take`). The supervisor's phone rings first. */
  "call.whisper": {
    agent: string;
  };
  /** For the role `supervisor`, on the call that an agent of one of their teams talks in: hears it (`call.listen`), is heard by the agent alone (`call.whisper`) or by both (`call.barge`), or takes it over (`call.take`). The supervisor's phone rings first. */
  "call.barge": {
    agent: string;
  };
  /** For the role `supervisor`, on the call that an agent of one of their teams talks in: hears it (`call.listen`), is heard by the agent alone (`call.whisper`) or by both (`call.barge`), or takes it over (`call.take`). The supervisor's phone rings first. */
  "call.take": {
    agent: string;
  };
  /** What an agent is from now on; `done` when each switch that keeps it has done it. */
  "agent.state": {
    /** For the role `supervisor`: an agent of one of their teams. Absent: the agent themselves. */
    agent?: string | null;
    /** For `not-ready`: an id of `welcome`'s reasons. */
    reason?: string | null;
    state: Availability;
  };
  /** What an agent is after the call that is up; without a call, from now on. */
  "agent.next": {
    agent?: string | null;
    reason?: string | null;
    /** Null: as before, nothing comes after it. */
    state?: Availability | null;
  };
  /** `queue.login`: calls of that queue come too. `queue.logout`: no more. */
  "queue.login": {
    /** As the switch names it. */
    queue: string;
    /** Where several switches have queues. */
    switch?: string | null;
  };
  /** `queue.login`: calls of that queue come too. `queue.logout`: no more. */
  "queue.logout": {
    /** As the switch names it. */
    queue: string;
    /** Where several switches have queues. */
    switch?: string | null;
  };
  /** More time for the wrap-up of this call before the next one comes. */
  "wrapup.extend": {
    call: string;
  };
  /** Something that the agent did by hand in another system for this call: it is counted (docs/kpis.md), and nothing else comes of it. */
  "ops.count": {
    call: string;
    /** So often; default: once. */
    count?: number | null;
    kind: ByHand;
  };
  /** For the role `supervisor`: from then on `board.changed` comes to this screen; after a reconnect it is asked for again. */
  "board.watch": {
    /** False: no more news. */
    watch?: boolean;
  };
  /** From then on `queues.changed` comes to this screen, at once and when it is otherwise, while the agent has no call; after a reconnect it is asked for again. */
  "queue.watch": {
    /** False: no more news. */
    watch?: boolean;
  };
  /** For the role `supervisor`: the agents of their teams. From then on `team.changed` comes to this screen when one of them has another state or call, at most four times a second for each; after a reconnect the list is asked for again. */
  "team.list": {
    /** False: no more news. */
    watch?: boolean;
  };
  /** What this agent may begin (for a call on the screen, or without one) and what is under way. With the role `supervisor`: all that waits for somebody, and `flow.changed` of it comes to this screen from then on. */
  "flow.list": Record<string, unknown>;
  /** Begins a flow; `done` when it is durable. `flow.changed` tells how it goes. */
  "flow.start": {
    /** The call on the screen that it is about. */
    call?: string | null;
    /** By name. */
    inputs?: Record<string, unknown>;
    name: string;
  };
  /** `flow.approve`: the asker of this request agrees; never who asked for the flow. `flow.refuse`: it ends, and what was done is taken back. */
  "flow.approve": {
    flow: string;
    step: string;
    why?: string | null;
  };
  /** `flow.approve`: the asker of this request agrees; never who asked for the flow. `flow.refuse`: it ends, and what was done is taken back. */
  "flow.refuse": {
    flow: string;
    step: string;
    why?: string | null;
  };
  /** It ends, and what was done is taken back; for who asked for it and for supervisors. */
  "flow.stop": {
    flow: string;
    why?: string | null;
  };
  /** What a supervisor says of a task. */
  "flow.task": {
    flow: string;
    note?: string | null;
    /** What the system gave, where later steps need it. */
    result?: unknown;
    task: number;
    what: TaskWord;
  };
  /** To hear a call that is over: one in which this agent talked, one of their team's for a supervisor, or what the settings allow their role. */
  "recording.link": {
    call: string;
    /** Which of its recordings, in the order in which they began. Default: 0, the first. */
    recording?: number;
  };
  /** Takes a seat: calls to that device are this agent's from now on. Another seat of the agent is left. */
  "seat.claim": {
    /** As the switch names it, or its extension alone. */
    device: string;
    /** Where several switches have seats of that name. */
    switch?: string | null;
  };
  /** Leaves the seat. A call that is up goes on. */
  "seat.leave": Record<string, unknown>;
  /** This screen wants the pops from now on. */
  "screen.activate": Record<string, unknown>;
}
