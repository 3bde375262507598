// The desk inside another page (`<linecard-panel>`): its token comes from there, and what rings is told to it. Which pages may hold the desk, the daemon's
// `frame-ancestors` says and the browser sees to it; here only the holder itself is listened to.

/** Whether somebody holds this page. */
export const held = window.parent !== window;

/** Resolves with the holder once it has said who it is, by the port that came along. */
export function holder() {
  return new Promise((found) => {
    addEventListener("message", function attach({ source, data, ports: [port] }) {
      if (source !== window.parent || data?.linecard !== "attach" || !port) return;
      removeEventListener("message", attach);
      found(new Holder(port));
    });
    // There is nothing in it that a stranger could use.
    window.parent.postMessage({ linecard: "here" }, "*");
  });
}

class Holder {
  #port; #asked = new Map(); #n = 0;
  constructor(port) { this.#port = port; }

  /** `ask(type, body)`: what the holder wants of the daemon. `key(event)`: a key that was pressed out there. */
  serve({ ask, key }) {
    this.#port.onmessage = async ({ data }) => {
      if (data.token) { this.#asked.get(data.token.n)?.(data.token.text); this.#asked.delete(data.token.n); }
      if (data.key) key(data.key);
      if (data.ask) {
        const { n, type, body } = data.ask;
        const answer = await ask(type, body).then((done) => ({ done }), (failed) => ({ failed }));
        this.#port.postMessage({ answer: { n, ...answer } });
      }
    };
  }
  token(why) {
    const n = ++this.#n;
    this.#port.postMessage({ token: { n, why } });
    return new Promise((given) => this.#asked.set(n, given));
  }
  tell(what) { this.#port.postMessage(what); }
}
