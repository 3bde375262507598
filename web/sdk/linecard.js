// Linecard's SDK: an agent's calls in any page. One module without dependencies; frames.d.ts and linecard.d.ts say what everything is.
//
//   const linecard = new Linecard({ url: "https://linecard.example.com", token: () => fetch("/my/token").then((r) => r.text()) });
//   linecard.on("pop", (call) => show(call.name ?? call.number, call.card));
//   await linecard.connect();
//
// The same file is the SharedWorker that holds the socket for all pages of an origin (`worker: true`).

/** A dead connection is told within this much after the ping. */
const PATIENCE_MS = 5_000;
const PING_MS = 10_000;
/** A token is renewed so long before its end, or in the last tenth of its life where that is shorter. */
const RENEW_MS = 60_000;
/** The worker leaves the socket open so long after the last page went: the next page of a site is on its way. */
const LINGER_MS = 10_000;

/** `crypto.randomUUID` is only for pages that came by TLS; dice are for everybody. */
function unique() {
  const dice = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(dice, (b) => b.toString(16).padStart(2, "0")).join("");
}

/** A request that was refused, or came to nothing: `code` for programs, `message` for people, `failed` is the whole frame. */
export class LinecardError extends Error {
  constructor(failed) {
    super(failed.message || failed.code);
    this.name = "LinecardError";
    this.code = failed.code;
    this.failed = failed;
  }
}

/** The answer to what nobody will learn any more. */
const closed = () => ({ type: "failed", code: "closed", message: "the connection was closed before the answer came" });
const restarted = () => ({ type: "failed", code: "restarted", message: "the daemon started anew before it answered; look at the phone before it is asked again" });

/** The same, with an error for programs and people in place of the frame. */
const erring = (asked) => asked.catch((failed) => { throw failed instanceof Error ? failed : new LinecardError(failed); });

/** What a JWT says; nothing of what is none. */
function claims(token) {
  try { return JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))) ?? {}; } catch { return {}; }
}
/** When it ends, in milliseconds. */
function ends(token) {
  const { exp } = claims(token);
  return Number.isFinite(exp) ? exp * 1000 : undefined;
}

/**
 * The socket: token in the first frame, resume by (epoch, seq), reconnect with full jitter, requests that are sent again with their own id until they
 * are answered, tokens renewed before they end. It knows nothing of calls. `on` has frame(frame), up(), down() and refused(why).
 */
export class Connection {
  #url; #token; #on; #active; #socket; #open = false; #again = false; #tries = 0; #timer; #pings; #renewal; #waiting = new Map(); #ready = false; #who;
  epoch; seq = 0; active = true;
  /** Server's clock minus ours. Latency only makes a sample smaller, and replayed frames are old: the largest is right. */
  offset = 0;

  /** `token` is a text, or a function that gets one: at every connect, and before the one in use ends. */
  constructor({ url, token, on, active = true }) {
    this.#url = new URL("/v1/agent", url);
    this.#url.protocol = this.#url.protocol.replace("http", "ws");
    this.#token = token;
    this.#on = on;
    this.#active = active;
  }

  open(token = this.#token) {
    this.#token = token;
    if (this.#open) return;
    this.#open = true;
    addEventListener("pagehide", this.#aside);
    addEventListener("pageshow", this.#back);
    this.#connect();
  }
  /** What was not answered is answered as `closed`: whether it was done nobody here will learn. */
  close() {
    this.#open = this.#ready = false;
    removeEventListener("pagehide", this.#aside);
    removeEventListener("pageshow", this.#back);
    clearTimeout(this.#timer);
    clearTimeout(this.#renewal);
    clearInterval(this.#pings);
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
    this.#unanswered();
  }
  #unanswered(why = closed, which = (/** @type {any} */ _) => true) {
    const waiting = [...this.#waiting].filter(([, waits]) => which(waits));
    for (const [id] of waiting) this.#waiting.delete(id);
    for (const [, { bad }] of waiting) bad(why());
  }
  /** A page that was left may be kept as it is, for the way back, its socket with it: nobody looks at it, and pops must not go there. */
  #aside = () => {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    if (socket) this.#lost(socket, 1000);
    clearTimeout(this.#timer);
  };
  #back = ({ persisted }) => { if (persisted && this.#open && !this.#socket) this.#connect(); };

  get up() { return this.#ready; }
  now() { return Date.now() + this.offset; }

  /** Resolves with `done`, rejects with `failed`, both whole. Survives reconnects: same id, same answer, nothing twice. A daemon that started anew is asked for nothing at the phones again. */
  ask(type, body = {}) {
    const id = unique();
    const text = JSON.stringify({ type, id, ...body });
    return new Promise((good, bad) => {
      if (!this.#open) { bad(closed()); return; }
      this.#waiting.set(id, { text, good, bad, type });
      if (this.#ready) this.#socket.send(text);
    });
  }

  /** `refused`: the daemon did not take the last one. */
  async #fresh(refused) {
    const token = typeof this.#token === "function" ? await this.#token({ refused }) : this.#token;
    if (typeof token !== "string" || !token) throw new Error("no token");
    return token;
  }

  #connect() {
    const socket = new WebSocket(this.#url, "linecard.v1");
    this.#socket = socket;
    // A handshake that hangs is a dead connection too.
    const hurry = setTimeout(() => this.#lost(socket, 0), PATIENCE_MS * 2);
    const token = this.#fresh(this.#again);
    token.catch(() => {}); // told below, if the socket opens at all
    let sent;
    socket.onopen = async () => {
      try { sent = await token; } catch {
        // Whoever was attached before comes back when the page's own server does.
        if (socket === this.#socket) this.epoch === undefined ? this.#refuse("no-token") : this.#lost(socket, 0);
        return;
      }
      if (socket === this.#socket) socket.send(JSON.stringify({ type: "authenticate", token: sent }));
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      let frame;
      try { frame = JSON.parse(data); } catch { return; }
      const sample = Date.parse(frame.at) - Date.now();
      if (frame.type === "welcome") {
        clearTimeout(hurry);
        this.#again = false;
        this.offset = sample;
        // The token is another agent's than before (a shift ended, a page stayed): what was asked and seen was not theirs.
        const who = JSON.stringify([frame.agent.tenant, frame.agent.id]);
        if (this.#who !== undefined && this.#who !== who) { this.epoch = undefined; this.#unanswered(); }
        this.#who = who;
        // Who started anew knows no ids of before. What is durable is found there by its id all the same; a number would be dialled twice.
        if (this.epoch !== undefined && this.epoch !== frame.epoch) this.#unanswered(restarted, ({ type }) => type === "dial" || type.startsWith("call."));
        const place = this.epoch === frame.epoch && this.active ? { epoch: this.epoch, seq: this.seq } : {};
        if (this.epoch !== frame.epoch) this.seq = 0;
        // After a reconnect a screen is what it was, and not what it was opened as.
        const active = this.epoch === undefined ? this.#active : this.active;
        this.epoch = frame.epoch;
        this.#renew(sent);
        socket.send(JSON.stringify({ type: "resume", ...place, active }));
      } else if (sample > this.offset) this.offset = sample;
      if (frame.seq > this.seq) this.seq = frame.seq;
      const state = frame.type === "agent.changed" ? frame : frame.type === "resumed" || frame.type === "snapshot" ? frame.agent : undefined;
      if (state) this.active = state.active;
      if (frame.type === "resumed" || frame.type === "snapshot") this.#begin(socket);
      const waits = (frame.type === "done" || frame.type === "failed") && this.#waiting.get(frame.id);
      if (waits) {
        this.#waiting.delete(frame.id);
        frame.type === "done" ? waits.good(frame) : waits.bad(frame);
      }
      this.#on.frame(frame);
    };
    socket.onclose = ({ code }) => { clearTimeout(hurry); this.#lost(socket, code); };
  }

  /** A page that stays for a shift outlives its token. */
  #renew(token) {
    clearTimeout(this.#renewal);
    const left = ends(token) - this.now();
    if (typeof this.#token !== "function" || Number.isNaN(left)) return;
    const wait = left - Math.min(RENEW_MS, left / 10);
    this.#renewal = setTimeout(async () => {
      try {
        const next = await this.#fresh(false);
        await this.ask("authenticate", { token: next });
        this.#renew(next);
      } catch { /* the daemon closes the socket when the old one ends, and the connect asks again */ }
    }, Math.min(Math.max(wait, 1_000), 2 ** 31 - 1));
  }

  #begin(socket) {
    if (this.#ready) return;
    this.#ready = true;
    this.#tries = 0;
    for (const [id, waits] of this.#waiting) waits.type === "ping" ? this.#waiting.delete(id) : socket.send(waits.text);
    this.#on.up();
    clearInterval(this.#pings);
    this.#pings = setInterval(() => {
      const late = setTimeout(() => this.#lost(socket, 0), PATIENCE_MS);
      this.ask("ping").catch(() => {}).finally(() => clearTimeout(late));
    }, PING_MS);
  }

  #lost(socket, code) {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    socket.onclose = null;
    socket.close();
    clearInterval(this.#pings);
    clearTimeout(this.#renewal);
    this.#ready = false;
    if (!this.#open) return;
    if (code === 4401) {
      // Whoever can get another token does, once: a token that ended while the machine slept is no refusal.
      if (this.#again || typeof this.#token !== "function") { this.#refuse("unauthenticated"); return; }
      this.#again = true;
    }
    this.#on.down();
    // Full jitter: anywhere between nothing and the bound, so that a thousand desks do not come back as one. 1013 asks for a minute;
    // 4429 is one window too many of this agent, and coming back at once would only push out the next.
    const bound = code === 1013 || code === 4429 ? 60_000 : Math.min(30_000, 500 * 2 ** this.#tries++);
    this.#timer = setTimeout(() => this.#connect(), Math.random() * bound);
  }

  #refuse(why) {
    this.close();
    this.#again = false;
    this.#on.refused(why);
  }
}

/** What the frames have told so far: the agent, the links, the calls. Frames in; what is new comes out. */
export class Book {
  me; reasons = []; queues = []; systems = []; outcomes = {}; open = "never";
  agent = { state: "logged-off", active: false };
  links = new Map();
  /** By call: { pop, state, notes }. */
  calls = new Map();

  /** What became of a call: `{ pop }`, `{ updated }`, `{ changed }`, `{ gone, reason }`; or of nothing that is kept here. */
  take(frame) {
    switch (frame.type) {
      case "welcome": {
        const other = this.me && (this.me.id !== frame.agent.id || this.me.tenant !== frame.agent.tenant), gone = other ? [...this.calls.keys()] : [];
        if (other) this.calls.clear();
        this.me = frame.agent;
        [this.reasons, this.queues, this.systems, this.outcomes, this.open] = [frame.reasons ?? [], frame.queues ?? [], frame.systems ?? [], frame.outcomes ?? {}, frame.open ?? "never"];
        return gone.length ? { all: { fresh: [], gone } } : {};
      }
      case "resumed": this.agent = frame.agent; this.#linked(frame.links); return {};
      case "snapshot": {
        this.agent = frame.agent;
        this.#linked(frame.links);
        const before = this.calls;
        this.calls = new Map(frame.calls.map(({ pop, state, notes }) => [pop.call, { pop, state, notes: notes ?? "" }]));
        const fresh = frame.calls.filter(({ pop, shown }) => !shown && !before.has(pop.call)).map(({ pop }) => pop.call);
        const gone = [...before.keys()].filter((call) => !this.calls.has(call));
        return { all: { fresh, gone } };
      }
      case "pop": case "pop.updated": {
        const known = this.calls.get(frame.call);
        const fresh = frame.type === "pop" && known?.pop.pop !== frame.pop;
        if (!known && !fresh) return {};
        const ringing = { call: frame.call, pop: frame.pop, state: "ringing", leg: frame.role === "outbound" ? "dialling" : "ringing", since: frame.at, role: frame.role, agents: [] };
        const state = { ...(fresh ? ringing : known.state), actions: frame.actions.filter((action) => action.startsWith("call.")) };
        this.calls.set(frame.call, { pop: frame, state, notes: known?.notes ?? "" });
        return fresh ? { pop: frame.call } : { updated: frame.call };
      }
      case "pop.withdrawn":
        if (this.calls.get(frame.call)?.pop.pop !== frame.pop) return {};
        this.calls.delete(frame.call);
        return { gone: frame.call, reason: frame.reason };
      case "call.changed": {
        const known = this.calls.get(frame.call);
        if (!known) return {};
        if (!frame.leg && !frame.wrapup) { this.calls.delete(frame.call); return { gone: frame.call, reason: "ended" }; }
        this.calls.set(frame.call, { ...known, state: frame });
        return { changed: frame.call };
      }
      case "agent.changed":
        this.agent = frame;
        if (frame.active) return { agent: true };
        { const gone = [...this.calls.keys()]; this.calls.clear(); return { agent: true, all: { fresh: [], gone } }; }
      case "link.changed": this.links.set(`${frame.kind} ${frame.id}`, frame); return { link: frame };
      default: return {};
    }
  }

  /** The frames that would tell somebody new all of this; its pops have been shown. */
  told(epoch, seq, at) {
    const frame = { seq: 0, at };
    const welcome = { type: "welcome", ...frame, epoch, features: [], agent: this.me, reasons: this.reasons, queues: this.queues, systems: this.systems, outcomes: this.outcomes, open: this.open };
    const calls = [...this.calls.values()].map((call) => ({ ...call, shown: true }));
    return [welcome, { type: "snapshot", ...frame, seq, agent: this.agent, links: [...this.links.values()], calls }];
  }

  #linked(links) { this.links = new Map(links.map((link) => [`${link.kind} ${link.id}`, link])); }
}

/** One call on the agent's screen. It is the same object from its pop to its end, and shows what is known now. */
export class Call {
  #linecard; #of;
  constructor(linecard, of) { this.#linecard = linecard; this.#of = of; }
  /** @internal */
  _is(of) { this.#of = of; }

  get id() { return this.#of.pop.call; }
  get pop() { return this.#of.pop; }
  get state() { return this.#of.state; }
  get card() { return this.#of.pop.card; }
  get notes() { return this.#of.notes; }
  /** ringing, dialling, talking, holding, wrapup or ended. */
  get phase() { return this.#of.state.leg ?? (this.#of.state.wrapup ? "wrapup" : "ended"); }
  get number() { return this.#of.pop.number?.display; }
  /** The customer: the one candidate found or chosen; `undefined` while nobody is, or several may be. */
  get customer() {
    const { chosen, card } = this.#of.pop;
    return card.candidates.find((c) => c.id === chosen) ?? (card.answer.state === "found" ? card.candidates[0] : undefined);
  }
  get name() {
    const { chosen, card, name } = this.#of.pop;
    return this.customer?.name ?? (chosen === null || card.answer.state === "ambiguous" ? undefined : name);
  }
  /** Whether this can be done to the call now: `can("hold")`. */
  can(verb) { return (this.#of.state.actions ?? []).includes(`call.${verb}`); }

  #do(verb, more) { return this.#linecard.request(`call.${verb}`, { call: this.id, ...more }); }
  answer() { return this.#do("answer"); }
  /** While it rings: declines. */
  hangup() { return this.#do("hangup"); }
  hold() { return this.#do("hold"); }
  retrieve() { return this.#do("retrieve"); }
  mute() { return this.#do("mute"); }
  unmute() { return this.#do("unmute"); }
  digits(digits) { return this.#do("digits", { digits }); }
  transfer(to) { return this.#do("transfer", { to }); }
  consult(to) { return this.#do("consult", { to }); }
  complete() { return this.#do("complete"); }
  cancel() { return this.#do("cancel"); }
  conference() { return this.#do("conference"); }
  park() { return this.#do("park"); }
  choose(candidate) { return this.#linecard.request("candidate.choose", { call: this.id, candidate }); }
  note(text) { return this.#linecard.request("notes.set", { call: this.id, text }); }
  attribute(name, value) { return this.#linecard.request("attribute.set", { call: this.id, name, value }); }
  /** @param {{ disposition?: string[], notes?: string, ticket?: boolean }} what */
  wrapup({ disposition, notes, ticket } = {}) { return this.#linecard.request("wrapup.submit", { call: this.id, disposition, notes, ticket }); }
  extend() { return this.#linecard.request("wrapup.extend", { call: this.id }); }
  /** The agent did something by hand in another system for this call; it is counted. */
  counted(kind, count) { return this.#linecard.request("ops.count", { call: this.id, kind, count }); }
}

/** Listeners by the name of what they hear. One that throws takes no other along. */
class Listeners {
  #by = new Map();
  on(name, listener) {
    const of = this.#by.get(name) ?? new Set();
    this.#by.set(name, of.add(listener));
    return () => of.delete(listener);
  }
  tell(name, ...what) {
    for (const listener of [...(this.#by.get(name) ?? [])]) {
      try { listener(...what); } catch (error) { reportError(error); }
    }
  }
}

/** Takes a frame into the book, keeps the objects of its calls, and tells what it means. */
function follow(book, calls, frame, owner, tell) {
  const was = book.take(frame);
  for (const [id, of] of book.calls) calls.has(id) ? calls.get(id)._is(of) : calls.set(id, new Call(owner, of));
  const gone = (id, reason) => { const call = calls.get(id); calls.delete(id); tell("gone", call, reason); };
  for (const id of was.all?.gone ?? []) gone(id, "elsewhere");
  for (const id of was.all?.fresh ?? []) tell("pop", calls.get(id));
  if (was.gone) gone(was.gone, was.reason);
  for (const name of ["pop", "updated", "changed"]) if (was[name]) tell(name, calls.get(was[name]));
  if (was.agent || frame.type === "snapshot" || frame.type === "resumed") tell("agent", book.agent);
  if (was.link) tell("link", was.link);
  tell("frame", frame);
}

/** An agent, attached to one daemon. */
export class Linecard {
  #line; #book = new Book(); #calls = new Map(); #heard = new Listeners(); #greeted; #up = false;
  /** Whether this page is the one of this browser that shows pops; without a worker every page is. */
  front = true;
  /** The daemon's; paths that it gives (`recording.link`) are below it. */
  url;

  /**
   * `url`: the daemon's agents' address. `token`: a JWT, or a function that gets one. `active: false`: do not take the pops away from another screen.
   * `worker: true`: one socket for all pages of this origin, held by a SharedWorker (this file must then come from the page's own origin); where there is
   * none, each page has its own.
   */
  constructor({ url, token, active = true, worker = false }) {
    this.url = new URL("/", url);
    const on = {
      frame: (frame) => this.#take(frame),
      up: () => { this.#up = true; this.#greeted?.good(this.#book); this.#heard.tell("up"); },
      down: () => { if (this.#up) { this.#up = false; this.#heard.tell("down"); } },
      refused: (why) => { this.#up = false; this.#greeted?.bad(new LinecardError({ code: why, message: "the daemon does not take the token" })); this.#greeted = undefined; this.#heard.tell("refused", why); },
      front: (front) => { this.front = front; this.#heard.tell("front", front); },
    };
    const shared = worker && typeof SharedWorker === "function" && new URL(import.meta.url).origin === location.origin;
    this.#line = shared ? new Shared({ url, token, on, active }) : new Connection({ url, token, on, active });
  }

  /** Resolves when the agent is attached and everything as it is now is known; goes on by itself whenever the connection is lost. */
  connect() {
    if (!this.#greeted) {
      this.#greeted = {};
      this.#greeted.promise = new Promise((good, bad) => Object.assign(this.#greeted, { good, bad }));
      this.#greeted.promise.catch(() => {}); // `refused` tells it too
      this.#line.open();
    }
    return this.#greeted.promise.then(() => this);
  }
  close() { this.#greeted = undefined; this.#up = false; this.#line.close(); }

  get up() { return this.#up; }
  get me() { return this.#book.me; }
  get agent() { return this.#book.agent; }
  get reasons() { return this.#book.reasons; }
  get queues() { return this.#book.queues; }
  get systems() { return this.#book.systems; }
  get links() { return [...this.#book.links.values()]; }
  get calls() { return [...this.#calls.values()]; }
  call(id) { return this.#calls.get(id); }
  /** The server's time, milliseconds. */
  now() { return this.#line.now(); }

  /**
   * Hears: `pop` (call), `updated` (call), `changed` (call), `gone` (call, reason), `agent` (state), `link` (link), `up`, `down`, `refused` (why), `front`
   * (front), `frame` (every frame). Answers what ends it.
   */
  on(name, listener) { return this.#heard.on(name, listener); }

  /** Any request of the protocol. Resolves with `done` once what it promises is durable, rejects with a `LinecardError`. */
  request(type, body = {}) { return erring(this.#line.ask(type, body)); }

  /** Click-to-dial: a number, or `{ number | handle, ref }`. */
  dial(what) { return this.request("dial", typeof what === "string" ? { number: what } : what); }
  ready() { return this.request("agent.state", { state: "ready" }); }
  notReady(reason) { return this.request("agent.state", { state: "not-ready", reason }); }
  logOff() { return this.request("agent.state", { state: "logged-off" }); }
  /** What the agent will be after the call; without arguments: what the switch makes of it. */
  next(state, reason) { return this.request("agent.next", state ? { state, reason } : {}); }
  /** This screen wants the pops from now on. */
  activate() { return this.request("screen.activate"); }

  #take(frame) { follow(this.#book, this.#calls, frame, this, (name, ...what) => this.#heard.tell(name, ...what)); }
}

/** @type {(error: unknown, link: Element) => void} */
const complain = (error) => { if (error) reportError(error); };

/**
 * Links with `tel:`, `callto:` or `sip:` dial. `data-linecard-ref` of a link, or of what it lies in, is `system/type/id`: the record the call is for. Answers
 * what ends it. `told` hears what became of each: (error or undefined, link).
 */
export function bindTelLinks(linecard, { root = document, told = complain } = {}) {
  const clicked = (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[href]") : undefined;
    const [, number] = /^(?:tel|callto|sip):\/*([^?;]+)/i.exec(link?.getAttribute("href") ?? "") ?? [];
    if (!number || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const [system, type, ...id] = (link.closest("[data-linecard-ref]")?.dataset.linecardRef ?? "").split("/");
    const ref = id.length ? { system, type, id: id.join("/") } : undefined;
    let said = number;
    try { said = decodeURIComponent(number); } catch { /* as it stands */ }
    linecard.dial({ number: said.replace(/@.*$/, ""), ref }).then(() => told(undefined, link), (error) => told(error, link));
  };
  root.addEventListener("click", clicked);
  return () => root.removeEventListener("click", clicked);
}

/** Who speaks to the daemon for us at the other end of a port, the worker or the desk in its frame: what is asked there, and the token it wants. */
class Far {
  #port; #token; #waiting = new Map();
  /** `hear` gets the rest of what is told. */
  constructor(port, token, hear) {
    this.#port = port;
    this.#token = token;
    port.onmessage = ({ data }) => { void this.#own(data); hear(data); };
  }
  tell(what) { this.#port.postMessage(what); }
  /** Resolves with `done`, rejects with `failed`, both whole. */
  ask(type, body) {
    const n = unique();
    return new Promise((good, bad) => {
      this.#waiting.set(n, { good, bad });
      this.tell({ ask: { n, type, body: JSON.parse(JSON.stringify(body)) } });
    });
  }
  close() {
    this.#port.onmessage = null;
    this.#port.close();
    for (const { bad } of this.#waiting.values()) bad(closed());
    this.#waiting.clear();
  }
  async #own({ answer, token }) {
    if (answer) {
      const waits = this.#waiting.get(answer.n);
      this.#waiting.delete(answer.n);
      answer.done ? waits?.good(answer.done) : waits?.bad(answer.failed);
    }
    if (!token) return;
    let text;
    try { text = typeof this.#token === "function" ? await this.#token(token.why) : this.#token; } catch { /* none */ }
    this.tell({ token: { n: token.n, text } });
  }
}

// The desk itself, in a page of somebody else's.

// A worker has no elements.
const Base = /** @type {typeof HTMLElement} */ (typeof HTMLElement === "function" ? HTMLElement : class {});

/**
 * `<linecard-panel url="https://linecard.example.com">`: the agent's desk, which needs this page's origin among the daemon's `agents.origins`. Its `token` is
 * set by script, a text or a function. It hears what a `Linecard` hears, by `on`, and as events of the element (`pop`, `gone`, ...; `detail.call`).
 */
export class LinecardPanel extends Base {
  #frame; #far; #token; #book = new Book(); #calls = new Map(); #heard = new Listeners();
  static observedAttributes = ["url"];

  get token() { return this.#token; }
  set token(token) { this.#token = token; if (this.isConnected) this.#open(); }
  get calls() { return [...this.#calls.values()]; }
  get agent() { return this.#book.agent; }
  on(name, listener) { return this.#heard.on(name, listener); }
  dial(what) { return this.request("dial", typeof what === "string" ? { number: what } : what); }
  /** Any request of the protocol, through the desk. */
  request(type, body = {}) { return erring(this.#far ? this.#far.ask(type, body) : Promise.reject(closed())); }
  /** A key that was pressed in this page, for the desk: F8 answers wherever the agent types. */
  key({ key, code, ctrlKey, shiftKey, altKey, metaKey }) { this.#far?.tell({ key: { key, code, ctrlKey, shiftKey, altKey, metaKey } }); }

  connectedCallback() { if (this.#token) this.#open(); }
  disconnectedCallback() { this.#shut(); }
  attributeChangedCallback() { if (this.isConnected && this.#frame) this.#open(); }

  #open() {
    this.#shut();
    const url = new URL("/", new URL(this.getAttribute("url") ?? "", location.href));
    const frame = (this.#frame = document.createElement("iframe"));
    frame.title = "Linecard";
    frame.allow = "autoplay; clipboard-write";
    for (const [name, value] of Object.entries({ border: "0", width: "100%", height: "100%", display: "block" })) frame.style.setProperty(name, value);
    addEventListener("message", this.#greets);
    frame.src = url.href;
    this.replaceChildren(frame);
  }
  #shut() {
    removeEventListener("message", this.#greets);
    this.#left();
    this.#frame?.remove();
    this.#frame = undefined;
  }
  #left() {
    this.#far?.close();
    this.#far = undefined;
  }

  /** The desk is there: only it, from exactly where it was asked for, gets the way to the token. A reload of it says so again. */
  #greets = ({ source, origin, data }) => {
    const frame = this.#frame;
    const wanted = frame && new URL(frame.src).origin;
    if (!frame || source !== frame.contentWindow || origin !== wanted || data?.linecard !== "here") return;
    this.#left();
    const { port1, port2 } = new MessageChannel();
    // The token is asked for when it is wanted, and may have been set anew by then.
    const token = (why) => (typeof this.#token === "function" ? this.#token(why) : this.#token);
    this.#far = new Far(port1, token, (said) => this.#hear(said));
    frame.contentWindow.postMessage({ linecard: "attach" }, wanted, [port2]);
  };

  #hear({ frame, up, down, refused }) {
    if (up) this.#tell("up");
    if (down) this.#tell("down");
    if (refused) this.#tell("refused", refused);
    if (frame) follow(this.#book, this.#calls, frame, this, (name, ...what) => this.#tell(name, ...what));
  }
  #tell(name, ...what) {
    this.#heard.tell(name, ...what);
    const [first] = what;
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, detail: first instanceof Call ? { call: first, reason: what[1] } : { value: first } }));
  }
}
if (typeof customElements === "object" && !customElements.get("linecard-panel")) customElements.define("linecard-panel", LinecardPanel);

// One socket for many pages.

/** A page's end of the worker: the same doors as a Connection. Each agent has a worker of their own: who signs in after another must not sit at that one's socket. */
class Shared {
  #far; #on; #token; #offset = 0; #said; #unlock; #opening;
  constructor({ url, token, on, active }) {
    this.#on = on;
    this.#token = token;
    this.#said = { url: new URL("/", url).href, active };
  }
  get up() { return this.#far !== undefined; }
  now() { return Date.now() + this.#offset; }

  open() {
    const opening = (this.#opening = this.#whose().then((who) => { if (this.#opening === opening) this.#join(who); }));
  }
  /** Whom the token names; nobody where it cannot be had or read: the worker asks again, and tells what comes of it. */
  async #whose() {
    const late = new Promise((given) => { setTimeout(given, PATIENCE_MS); });
    const asked = typeof this.#token === "function" ? Promise.resolve().then(() => this.#token({ refused: false })).catch(() => {}) : this.#token;
    const { tenant, sub } = claims(await Promise.race([asked, late]));
    return sub === undefined ? "" : JSON.stringify([tenant ?? "", sub]);
  }
  #join(who) {
    const worker = new SharedWorker(import.meta.url, { type: "module", name: `linecard ${this.#said.url} ${who}` });
    this.#far = new Far(worker.port, this.#token, (said) => this.#hear(said));
    worker.onerror = () => this.#on.refused("no-worker");
    const page = unique();
    this.#far.tell({ open: { ...this.#said, page } });
    // The worker waits for this lock once it is held: it gets it when the page is gone, however it went. Pages that came without TLS have no locks and say
    // farewell.
    navigator.locks?.request(`linecard-${page}`, () => new Promise((unlock) => { this.#unlock = unlock; this.#far?.tell({ held: true }); })).catch(() => {});
    addEventListener("pagehide", this.#bye);
    addEventListener("pageshow", this.#back);
    addEventListener("focus", this.#front);
    if (document.hasFocus()) this.#front();
  }
  close() {
    removeEventListener("pagehide", this.#bye);
    removeEventListener("pageshow", this.#back);
    removeEventListener("focus", this.#front);
    this.#opening = undefined;
    this.#bye();
    this.#unlock?.();
    this.#far?.close();
    this.#far = undefined;
  }
  async ask(type, body) {
    const opening = this.#opening;
    await opening;
    if (!this.#far || this.#opening !== opening) throw closed();
    return this.#far.ask(type, body);
  }
  #bye = () => this.#far?.tell({ bye: true });
  /** The page was left and is back as it was: the worker has forgotten it. */
  #back = ({ persisted }) => { if (persisted && this.#far) { this.close(); this.open(); } };
  #front = () => this.#far?.tell({ front: true });

  #hear({ frame, offset, up, down, refused, front }) {
    if (offset !== undefined) this.#offset = offset;
    if (frame) this.#on.frame(frame);
    if (up) this.#on.up();
    if (down) this.#on.down();
    // Another `open` begins anew, by another port.
    if (refused) { this.close(); this.#on.refused(refused); }
    if (front !== undefined) this.#on.front(front);
  }
}

/** The worker: one Connection, and the pages that look at it. The page that had the focus last is the front one. */
class Hub {
  #pages = []; #line; #book = new Book(); #tokens = new Map(); #linger;

  joins(port) {
    const page = { port, asked: 0 };
    port.onmessage = ({ data }) => this.#hear(page, data);
  }

  #hear(page, { open, held, ask, token, front, bye }) {
    if (open) {
      clearTimeout(this.#linger);
      this.#pages.push(page);
      page.id = open.page;
      this.#line ??= this.#dial(open);
      this.#line.open();
      if (this.#line.up) {
        const at = new Date(this.#line.now()).toISOString();
        for (const frame of this.#book.told(this.#line.epoch, this.#line.seq, at)) page.port.postMessage({ frame, offset: this.#line.offset });
        page.port.postMessage({ up: true });
      }
      this.#fronts(this.#pages[0]);
    }
    if (held) navigator.locks.request(`linecard-${page.id}`, () => this.#leaves(page)).catch(() => {});
    if (ask) {
      const told = (what) => page.port.postMessage({ answer: { n: ask.n, ...what } });
      if (!this.#line) told({ failed: closed() });
      this.#line?.ask(ask.type, ask.body).then((done) => told({ done }), (failed) => told({ failed }));
    }
    if (token) { this.#tokens.get(token.n)?.(token.text); this.#tokens.delete(token.n); }
    if (front) this.#fronts(page);
    if (bye) this.#leaves(page);
  }

  #dial({ url, active }) {
    const all = (what) => { for (const { port } of this.#pages) port.postMessage(what); };
    const on = {
      frame: (frame) => { this.#book.take(frame); all({ frame, offset: this.#line.offset }); },
      // Behind the frame that it is told with: a page that hears it knows everything.
      up: () => queueMicrotask(() => all({ up: true })),
      down: () => all({ down: true }),
      refused: (refused) => { this.#line = undefined; all({ refused }); },
    };
    return new Connection({ url, active, on, token: (why) => this.#token(why) });
  }

  /** Of the front page; of the next where that one does not answer. */
  async #token(why) {
    for (const page of [...this.#pages]) {
      const n = unique();
      const text = await new Promise((given) => {
        this.#tokens.set(n, given);
        page.port.postMessage({ token: { n, why } });
        setTimeout(given, PATIENCE_MS);
      });
      this.#tokens.delete(n);
      if (text) return text;
    }
    throw new Error("no page has a token");
  }

  #fronts(page) {
    if (!this.#pages.includes(page)) return;
    this.#pages = [page, ...this.#pages.filter((other) => other !== page)];
    for (const other of this.#pages) if (other.front !== (other === page)) { other.front = other === page; other.port.postMessage({ front: other.front }); }
  }

  #leaves(page) {
    if (!this.#pages.includes(page)) return;
    this.#pages = this.#pages.filter((other) => other !== page);
    if (this.#pages.length) { this.#fronts(this.#pages[0]); return; }
    this.#linger = setTimeout(() => { this.#line?.close(); this.#line = undefined; this.#book = new Book(); }, LINGER_MS);
  }
}

const worker = /** @type {any} */ (globalThis);
if (typeof worker.SharedWorkerGlobalScope === "function" && worker instanceof worker.SharedWorkerGlobalScope) {
  const hub = new Hub();
  worker.onconnect = ({ ports: [port] }) => hub.joins(port);
}
