// A demo in which some things are wrong: a ticket desk that takes nothing new, a loyalty scheme that is not there, a canary and a shadow.
// Everything else is the demo's own: its systems, its accounts, its calls; only that these come by turns and not by chance.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, request } from "node:http";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const root = resolve(fileURLToPath(import.meta.url), "../../../..");
export const program = process.env.LINECARD_BIN ?? join(process.env.CARGO_TARGET_DIR ?? join(root, "target"), "release/linecard");

/** Asks until the answer pleases. */
export async function until(ask, pleases, what) {
  const end = Date.now() + 60_000;
  for (;;) {
    const answer = await ask();
    if (pleases(answer)) return answer;
    if (Date.now() > end) throw new Error(`${what} did not happen: ${JSON.stringify(answer).slice(0, 2000)}`);
    await new Promise((go) => setTimeout(go, 200));
  }
}

export async function site() {
  const folder = mkdtempSync(join(tmpdir(), "linecard-console-"));
  const child = spawn(program, ["demo", "--by-hand", "--data", folder], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = new Promise((done) => child.once("exit", done));
  const found = {};
  await new Promise((good, bad) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const console = /The console\s+(\S+)\/admin/.exec(line), desk = /tickets made\s+(\S+?)\/?$/.exec(line);
      if (console) found.url = console[1];
      if (desk) found.desk = desk[1];
      if (line.startsWith("Ctrl-C")) good();
    });
    ended.then((code) => bad(new Error(`the demo ended with ${code}`)));
  });
  // Missed ones among them: each becomes a ticket, which the broken desk refuses. Who finds nobody free is told so, and the next one comes.
  const turns = ["abandoned 13800138000", "answered 13900139000 1002", "direct-missed 02161230001 1003", "blind-transfer 13900139000"];
  let turn = 0;
  const calls = setInterval(() => child.stdin.write(`call ${turns[turn++ % turns.length]}\n`), 1000);
  const config = (name) => join(folder, "config", name);
  const read = (name) => readFileSync(config(name), "utf8");
  const write = (name, text) => writeFileSync(config(name), text);
  const refused = await tickets(found.desk);

  const cookies = {};
  /** As a program would ask. */
  async function ask(path, body, who = "admin") {
    cookies[who] ??= fetch(`${found.url}/v1/session`, { method: "POST", headers: { "X-Linecard": "1" }, body: JSON.stringify({ name: who, password: "linecard-demo" }) })
      .then((answer) => { if (!answer.ok) throw new Error(`${who} is not let in: ${answer.status}`); return answer.headers.get("set-cookie").split(";")[0]; });
    const answer = await fetch(found.url + path, { method: body ? "POST" : "GET", headers: { Cookie: await cookies[who], "X-Linecard": "1", "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
    const told = await answer.json();
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${told.error} ${JSON.stringify(told.problems)}`);
    return told;
  }
  const daemon = () => Number(readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").split(" ")[0]);
  return {
    ...found, folder, read, write, ask, refused,
    /** The folder is read again. */
    reload: () => process.kill(daemon(), "SIGHUP"),
    /** Breaks what is to be broken; resolves when it shows. */
    async breaks() {
      write("connectors/desk.yaml", read("connectors/desk.yaml").replace(found.desk, refused.url));
      write("connectors/loyalty.yaml", read("connectors/loyalty.yaml").replace(/base_url: .*/, 'base_url: "http://127.0.0.1:9"'));
      const beside = (of, kind) => write(`connectors/${of}-next.yaml`, read(`connectors/${of}.yaml`).replace(`connector: ${of}`, `connector: ${of}-next\n${kind}: {of: ${of}, percent: 50}`));
      beside("orders", "canary");
      beside("erp", "shadow");
      this.reload();
      await until(() => ask("/v1/connectors"), (all) => all.some((one) => one.id === "orders-next"), "a reload");
      await until(() => ask("/v1/undelivered?state=dead"), (all) => all.length > 0, "a refused ticket");
    },
    async stop() {
      clearInterval(calls);
      child.kill("SIGINT");
      await ended;
      refused.close();
      if (existsSync(folder)) rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** The demo's ticket desk, by a way on which what is written is refused: all of it while `refuses` is true, or what `refuses` says of a request. */
async function tickets(desk) {
  const way = {
    /** @type {boolean | ((asked: import("node:http").IncomingMessage) => boolean)} */ refuses: true,
    server: createServer((asked, answer) => {
      if (asked.method !== "GET" && (typeof way.refuses === "function" ? way.refuses(asked) : way.refuses && asked.method === "POST")) {
        asked.resume();
        answer.writeHead(422, { "content-type": "application/json" }).end(JSON.stringify({ error: "the project is closed" }));
        return;
      }
      const on = request(desk + asked.url, { method: asked.method, headers: asked.headers }, (said) => { answer.writeHead(said.statusCode, said.headers); said.pipe(answer); });
      on.on("error", () => answer.destroy());
      asked.pipe(on);
    }),
    close: () => { way.server.close(); way.server.closeAllConnections(); },
  };
  await new Promise((ready) => way.server.listen(0, "127.0.0.1", ready));
  way.url = `http://127.0.0.1:${way.server.address().port}`;
  return way;
}
