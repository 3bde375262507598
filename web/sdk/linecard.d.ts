import type {
  AgentChanged, AgentState, CallChanged, Card, Done, Failed, Frame, Link, Me, Pop, ReasonChoice, Reference, Requests, SystemOffer,
} from "./frames.js";

export type * from "./frames.js";

/** What a request must say. */
export type Body<T extends keyof Requests> = Requests[T];
/** A JWT, or who gets one: at every connect and before the one in use ends. `refused`: the daemon did not take the last one. */
export type Token = string | ((why: { refused: boolean }) => string | Promise<string>);
/** Why a page is not attached any more: the token, nobody who has one, no worker. */
export type Refusal = "unauthenticated" | "no-token" | "no-worker";
/** Where a call is on the agent's own phone. */
export type Phase = "ringing" | "dialling" | "talking" | "holding" | "wrapup" | "ended";

/** A request that was refused, or came to nothing. */
export class LinecardError extends Error {
  constructor(failed: Failed | { code: string; message: string });
  /** For programs: a code of the protocol, `closed`, or `restarted`: the daemon started anew before it answered `dial` or a `call.*`, which is not asked again. */
  readonly code: string;
  /** The whole frame. */
  readonly failed: Failed | { code: string; message: string };
}

export interface Options {
  /** The daemon's agents' address: `https://linecard.example.com`. */
  url: string | URL;
  /** A JWT of the agent, or better who gets one. */
  token: Token;
  /** False: do not take the pops away from another screen of this agent. */
  active?: boolean;
  /** One socket for all pages of this origin, held by a SharedWorker, where there is one and this module comes from the page's own origin. */
  worker?: boolean;
}

/** What can be heard, and with what. */
export interface Events {
  /** A phone of the agent rings, or the agent's own call is made. Once for each call, also after a reload. */
  pop: [call: Call];
  /** More is known of the call. */
  updated: [call: Call];
  /** The call is somewhere else now. */
  changed: [call: Call];
  /** It left the screen: taken back (why), ended, or another screen has it (`elsewhere`). */
  gone: [call: Call, reason: string];
  /** The agent's state, reason, seat or queues are others now, or were told anew. */
  agent: [agent: AgentState];
  /** A switch or a business system came or went. */
  link: [link: Link];
  /** The connection is there, for the first time or again. */
  up: [];
  /** The connection is lost; it comes back by itself. */
  down: [];
  /** Nobody knocks on any more: the token was not taken, or there is none. */
  refused: [why: Refusal];
  /** Whether this page is the one of this browser that shows pops (with a worker). */
  front: [front: boolean];
  /** Every frame of the protocol, after what it means was told. */
  frame: [frame: Frame];
}

/** An agent, attached to one daemon. */
export class Linecard {
  constructor(options: Options);
  /** Resolves when the agent is attached and everything as it is now is known; goes on by itself whenever the connection is lost. */
  connect(): Promise<this>;
  /** Ends it. What was not answered rejects with the code `closed`. */
  close(): void;
  /** The daemon's address; paths that it gives (`recording.link`) are below it. */
  readonly url: URL;
  /** Whether the connection is there. */
  readonly up: boolean;
  /** Who the token says the agent is; `undefined` until attached. */
  readonly me: Me | undefined;
  /** The agent's state as it was told last. */
  readonly agent: AgentState;
  /** Why the agent may be not ready. */
  readonly reasons: ReasonChoice[];
  /** Queues that the agent may log in to and out of. */
  readonly queues: string[];
  /** Business systems, and what can be done there. */
  readonly systems: SystemOffer[];
  /** Switches and business systems, there or away. */
  readonly links: Link[];
  /** The calls on the agent's screen. */
  readonly calls: Call[];
  /** Whether this page is the one of this browser that shows pops. */
  front: boolean;
  /** The call of this id, while it is on the screen. */
  call(id: string): Call | undefined;
  /** The server's time, milliseconds since 1970. */
  now(): number;
  /** Answers what ends it. */
  on<T extends keyof Events>(name: T, listener: (...what: Events[T]) => void): () => void;
  /** Any request of the protocol. Resolves once what it promises is durable; rejects with a `LinecardError`. */
  request<T extends keyof Requests>(type: T, body?: Body<T>): Promise<Done>;
  /** Click-to-dial: a number, or `{ number | handle, ref }`. The agent's phone rings first. */
  dial(what: string | Body<"dial">): Promise<Done>;
  /** The agent takes calls. */
  ready(): Promise<Done>;
  /** The agent takes none, for one of `reasons`. */
  notReady(reason?: string): Promise<Done>;
  /** The agent goes home. */
  logOff(): Promise<Done>;
  /** What the agent will be after the call; without arguments: what the switch makes of it. */
  next(state?: NonNullable<Body<"agent.next">["state"]>, reason?: string): Promise<Done>;
  /** This screen wants the pops from now on. */
  activate(): Promise<Done>;
}

/** One call on the agent's screen. It is the same object from its pop to its end. */
export class Call {
  private constructor();
  /** The same in every frame, in the records and in webhooks. */
  readonly id: string;
  /** What the daemon told of it: line, queue, number, attributes. */
  readonly pop: Pop;
  /** Where it is now, who has it on a phone, and what can be done to it. */
  readonly state: CallChanged;
  /** Who calls, and what the business systems know. */
  readonly card: Card;
  /** What the agent wrote on it so far. */
  readonly notes: string;
  /** Where it is on the agent's own phone. */
  readonly phase: Phase;
  /** As the agent may see it; `undefined` where it was withheld. */
  readonly number: string | undefined;
  /** The one candidate found or chosen; `undefined` while nobody is, or several may be. */
  readonly customer: Card["candidates"][number] | undefined;
  /** The customer's, else the one that the switch showed. */
  readonly name: string | undefined;
  /** Whether this can be done to the call now: `can("hold")`. */
  can(verb: string): boolean;
  /** The phone takes it. */
  answer(): Promise<Done>;
  /** While it rings: declines. */
  hangup(): Promise<Done>;
  /** The customer waits. */
  hold(): Promise<Done>;
  /** The customer waits no more. */
  retrieve(): Promise<Done>;
  /** The customer does not hear the agent. */
  mute(): Promise<Done>;
  /** The customer hears the agent again. */
  unmute(): Promise<Done>;
  /** Presses keys, for the other side to hear. */
  digits(digits: string): Promise<Done>;
  /** Hands the call over at once, to an extension or a number. */
  transfer(to: string): Promise<Done>;
  /** Asks somebody while the customer waits. */
  consult(to: string): Promise<Done>;
  /** The customer and who was consulted go together. */
  complete(): Promise<Done>;
  /** Back to the customer. */
  cancel(): Promise<Done>;
  /** All three talk. */
  conference(): Promise<Done>;
  /** Leaves the call where anybody can fetch it. */
  park(): Promise<Done>;
  /** Says which candidate it is; null: none of them. */
  choose(candidate: string | null): Promise<Done>;
  /** The whole text so far; replaces what was written before. */
  note(text: string): Promise<Done>;
  /** Writes an attribute that the pop calls writable. */
  attribute(name: string, value: string): Promise<Done>;
  /** Ends the agent's part: outcome, notes, whether a ticket is wished. */
  wrapup(what?: { disposition?: string[]; notes?: string; ticket?: boolean }): Promise<Done>;
  /** More time for the wrap-up. */
  extend(): Promise<Done>;
  /** The agent did something by hand in another system for this call (`record-opened`, `number-copied`, `search-typed`, `ticket-outside`); it is counted for the KPIs. */
  counted(kind: Body<"ops.count">["kind"], count?: number): Promise<Done>;
}

/**
 * Links with `tel:`, `callto:` or `sip:` dial. `data-linecard-ref` of a link, or of what it lies in, is `system/type/id`: the record the call is for. Answers
 * what ends it.
 */
export function bindTelLinks(
  linecard: Pick<Linecard, "dial">,
  options?: { root?: Document | HTMLElement; told?: (error: unknown, link: HTMLAnchorElement) => void },
): () => void;

/** The socket alone, for who keeps the calls otherwise: frames in, requests out. The desk stands on it. */
export class Connection {
  constructor(options: {
    url: string | URL;
    token?: Token;
    active?: boolean;
    on: { frame(frame: Frame): void; up(): void; down(): void; refused(why: Refusal): void };
  });
  /** Begins, with another token where one is given. */
  open(token?: Token): void;
  /** Ends it. */
  close(): void;
  /** Whether the connection is there. */
  readonly up: boolean;
  /** The stream's place: what came last. */
  readonly seq: number;
  /** The server's time, milliseconds since 1970. */
  now(): number;
  /** Resolves with `done`, rejects with `failed`, both whole. Survives reconnects: same id, same answer, nothing twice. */
  ask<T extends keyof Requests | "ping">(type: T, body?: T extends keyof Requests ? Body<T> : undefined): Promise<Done>;
}

/** What the frames have told so far, for who stands on a Connection: frames in, what is new comes out. */
export class Book {
  me: Me | undefined;
  agent: AgentState;
  reasons: ReasonChoice[];
  queues: string[];
  systems: SystemOffer[];
  outcomes: Record<string, string[]>;
  open: "answered" | "never";
  links: Map<string, Link>;
  calls: Map<string, { pop: Pop; state: CallChanged; notes: string }>;
  /** What became of it: ids of calls. */
  take(frame: Frame): {
    pop?: string; updated?: string; changed?: string; gone?: string; reason?: string; agent?: true; link?: Link; all?: { fresh: string[]; gone: string[] };
  };
  /** The frames that would tell somebody new all of this. */
  told(epoch: number, seq: number, at: string): Frame[];
}

/**
 * `<linecard-panel url="https://linecard.example.com">`: the agent's desk in any page whose origin is among the daemon's `agents.origins`. Set `token` by
 * script. What can be heard with `on` comes as events of the element too: `detail.call`, and `detail.reason` of `gone`; else `detail.value`.
 */
export class LinecardPanel extends HTMLElement {
  /** The desk in the frame signs in with it. */
  token: Token | undefined;
  /** The calls on the agent's screen. */
  readonly calls: Call[];
  /** The agent's state as it was told last. */
  readonly agent: AgentState;
  /** What can be heard; answers what ends it. */
  on<T extends keyof Events>(name: T, listener: (...what: Events[T]) => void): () => void;
  /** Any request of the protocol, through the desk. */
  request<T extends keyof Requests>(type: T, body?: Body<T>): Promise<Done>;
  /** Click-to-dial. */
  dial(what: string | Body<"dial">): Promise<Done>;
  /** A key that was pressed in this page, for the desk: F8 answers wherever the agent types. */
  key(event: Pick<KeyboardEvent, "key" | "code" | "ctrlKey" | "shiftKey" | "altKey" | "metaKey">): void;
}

declare global {
  interface HTMLElementTagNameMap { "linecard-panel": LinecardPanel }
}
