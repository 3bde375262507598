// The socket: token in the first frame, resume by (epoch, seq), reconnect with full jitter, requests that are sent again
// with their own id until they are answered. It knows nothing of calls.
const PATIENCE_MS = 5_000; // a dead connection is told within this much after the ping
const PING_MS = 10_000;

export class Link {
  #socket; #token; #tries = 0; #timer; #pings; #waiting = new Map(); #ready = false;
  epoch; seq = 0; active = true;
  /** Server's clock minus ours. Latency only makes a sample smaller, and replayed frames are old: the largest is right. */
  offset = 0;

  constructor({ frame, up, down, refused }) { this.on = { frame, up, down, refused }; }

  open(token) { this.#token = token; this.#connect(); }
  close() { this.#token = undefined; clearTimeout(this.#timer); this.#waiting.clear(); this.#socket?.close(); }
  get up() { return this.#ready; }
  now() { return Date.now() + this.offset; }

  /** Resolves with `done`, rejects with `failed`. Survives reconnects: same id, same answer, nothing twice. */
  ask(type, body = {}) {
    const id = crypto.randomUUID();
    const text = JSON.stringify({ type, id, ...body });
    return new Promise((good, bad) => {
      this.#waiting.set(id, { text, good, bad, ping: type === "ping" });
      if (this.#ready) this.#socket.send(text);
    });
  }

  #connect() {
    const socket = new WebSocket(new URL("/v1/agent", location.href.replace(/^http/, "ws")), "linecard.v1");
    this.#socket = socket;
    // A handshake that hangs is a dead connection too.
    const hurry = setTimeout(() => this.#lost(socket, 0), PATIENCE_MS * 2);
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: "authenticate", token: this.#token }));
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      let frame;
      try { frame = JSON.parse(data); } catch { return; }
      const sample = Date.parse(frame.at) - Date.now();
      if (frame.type === "welcome") {
        clearTimeout(hurry);
        this.offset = sample;
        const place = this.epoch === frame.epoch && this.active ? { epoch: this.epoch, seq: this.seq } : {};
        if (this.epoch !== frame.epoch) this.seq = 0;
        this.epoch = frame.epoch;
        socket.send(JSON.stringify({ type: "resume", ...place, active: this.active }));
      } else if (sample > this.offset) this.offset = sample;
      if (frame.seq > this.seq) this.seq = frame.seq;
      if (frame.type === "resumed" || frame.type === "snapshot") this.#begin(socket);
      const waits = (frame.type === "done" || frame.type === "failed") && this.#waiting.get(frame.id);
      if (waits) {
        this.#waiting.delete(frame.id);
        frame.type === "done" ? waits.good(frame) : waits.bad(frame);
      }
      this.on.frame(frame);
    };
    socket.onclose = ({ code }) => { clearTimeout(hurry); this.#lost(socket, code); };
  }

  #begin(socket) {
    if (this.#ready) return;
    this.#ready = true;
    this.#tries = 0;
    for (const [id, waits] of this.#waiting) waits.ping ? this.#waiting.delete(id) : socket.send(waits.text);
    this.on.up();
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
    this.#ready = false;
    if (!this.#token) return;
    if (code === 4401) { this.#token = undefined; this.on.refused(); return; }
    this.on.down();
    // Full jitter: anywhere between nothing and the bound, so that a thousand desks do not come back as one. 1013 asks for a minute;
    // 4429 is one window too many of this agent, and coming back at once would only push out the next.
    const bound = code === 1013 || code === 4429 ? 60_000 : Math.min(30_000, 500 * 2 ** this.#tries++);
    this.#timer = setTimeout(() => this.#connect(), Math.random() * bound);
  }
}
