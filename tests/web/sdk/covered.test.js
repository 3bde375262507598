// The lists of what the shims cover are whole, and true of the contracts as their packages have them; the docs show these lists.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { demo, launch } from "../desk/hands.js";
import { TYPES, open, theirs } from "./hands.js";

const root = resolve(fileURLToPath(import.meta.url), "../../../..");
let browser, place, page, covered;
before(async () => {
  browser = await launch();
  place = await demo("--by-hand");
  page = await open(browser, place.url);
  covered = await page.evaluate(async () => {
    const [salesforce, streams] = await Promise.all(["salesforce", "streams"].map((name) => import(`/web/sdk/${name}.js`)));
    return { salesforce: salesforce.COVERED, streams: streams.COVERED };
  });
});
after(async () => { await browser?.close(); await place?.stop(); });

/** Methods by class or interface, functions and objects of a declaration file. */
function declared(file) {
  const found = { methods: {}, objects: [] };
  const walk = (node) => {
    const name = node.name?.text;
    if (ts.isClassDeclaration(node) || ts.isInterfaceDeclaration(node)) {
      const methods = node.members.filter((one) => ts.isMethodDeclaration(one) || ts.isMethodSignature(one)).map((one) => one.name.text);
      found.methods[name] = [...new Set([...(found.methods[name] ?? []), ...methods])];
      if (ts.isClassDeclaration(node)) found.objects.push(name);
    }
    if (ts.isFunctionDeclaration(node)) (found.methods.connect ??= []).push(name);
    if (ts.isVariableDeclaration(node) && node.type && ts.isTypeReferenceNode(node.type)) found.objects.push(name);
    ts.forEachChild(node, walk);
  };
  walk(ts.createSourceFile("theirs.d.ts", theirs(file), ts.ScriptTarget.Latest, true));
  return found;
}

test("Salesforce: every method of the library's VendorConnector and every event of it is in the list, and nothing else", async () => {
  const found = await page.evaluate(() => [...Object.getOwnPropertyNames(window.base.VendorConnector.prototype).filter((name) => name !== "constructor"), ...Object.keys(window.base.Constants.EVENT_TYPE)]);
  assert.deepEqual(covered.salesforce.map(({ name }) => name).sort(), found.sort());
  assert.deepEqual(declared(TYPES.salesforce).methods.VendorConnector.sort(), found.filter((name) => name !== name.toUpperCase()).sort());
});

test("Salesforce: what is covered is there, what is not rejects and says what to use", async () => {
  const said = await page.evaluate(async (list) => {
    const { LinecardConnector } = await import("/web/sdk/salesforce.js");
    const connector = new LinecardConnector({ calls: [], on: () => () => {} }, window.base);
    return Promise.all(list.filter(({ name }) => name !== name.toUpperCase()).map(async ({ name, covered }) => [
      name, covered, typeof connector[name], covered === "no" ? await connector[name]().then(() => "resolved", (error) => error.message) : "",
    ]));
  }, covered.salesforce);
  for (const [name, how, is, error] of said) {
    assert.equal(is, "function", name);
    if (how === "no") assert.equal(error, `${name} is not covered by Linecard's connector for Salesforce: ${covered.salesforce.find((row) => row.name === name).note}`);
  }
  assert.ok(said.some(([, how]) => how === "no"));
  assert.match(await page.evaluate(async () => { const { LinecardConnector } = await import("/web/sdk/salesforce.js"); try { new LinecardConnector({}, {}); return ""; } catch (error) { return error.message; } }), /has no publishEvent, .*PhoneCall/);
});

test("Streams: every public method that its types or its code have is in the list, and nothing else", async () => {
  const types = declared(TYPES.streams);
  const code = await page.evaluate(() => Object.fromEntries(["Agent", "Contact", "BaseConnection", "VoiceConnection", "Endpoint"].map((name) => [
    name, Object.getOwnPropertyNames(window.theirs[name].prototype).filter((method) => method !== "constructor" && !method.startsWith("_")),
  ])));
  const want = new Set();
  for (const name of ["Agent", "Contact", "BaseConnection", "VoiceConnection", "Endpoint"]) for (const method of [...types.methods[name], ...code[name]]) want.add(`${name}.${method}`);
  // The code gives a connection's class all that voice needs once more.
  for (const method of code.BaseConnection) want.delete(`VoiceConnection.${method}`);
  for (const method of types.methods.Core) want.add(`core.${method}`);
  for (const method of types.methods.connect) want.add(`connect.${method}`);
  for (const object of types.objects) if (!["Agent", "Contact", "BaseConnection", "VoiceConnection", "Endpoint", "core"].includes(object)) want.add(`${object}.*`);
  assert.deepEqual(covered.streams.map(({ name }) => name).sort(), [...want].sort());
});

test("Streams: what is covered is there, what is not throws and says what to use; its words are the library's", async () => {
  const found = await page.evaluate(async (list) => {
    const { ENUMS, streams } = await import("/web/sdk/streams.js");
    const connect = streams({ on: () => () => {} });
    const of = (object) => (object === "connect" ? connect : object === "core" ? connect.core : object === "Endpoint" ? Object.assign(Object.create(connect.Endpoint.prototype), { byPhoneNumber: connect.Endpoint.byPhoneNumber }) : connect[object].prototype);
    const faults = [];
    for (const { name, covered, note } of list) {
      const [object, method] = name.split(".");
      let error = "";
      if (method === "*") try { connect[object]; } catch (thrown) { error = thrown.message; }
      else {
        if (typeof of(object)[method] !== "function") faults.push(`${name} is no function`);
        if (covered !== "no") continue;
        try { of(object)[method](); } catch (thrown) { error = thrown.message; }
      }
      if (!error.includes("is not covered by Linecard's shim of Streams: ") || !error.endsWith(note)) faults.push(`${name}: ${error}`);
    }
    for (const [name, words] of Object.entries(ENUMS)) for (const [key, word] of Object.entries(words)) if (window.theirs[name]?.[key] !== word) faults.push(`${name}.${key} is ${word}, theirs ${window.theirs[name]?.[key]}`);
    return faults;
  }, covered.streams);
  assert.deepEqual(found, []);
});

/** The rows of one object that have the same answer and note are one row. */
function table(list, [what, how, note], said) {
  const rows = new Map();
  for (const row of list) {
    const [object, method] = row.name.includes(".") ? row.name.split(".") : [row.name === row.name.toUpperCase() ? "events" : "", row.name], key = JSON.stringify([object, row.covered, row.note]);
    rows.set(key, [...(rows.get(key) ?? []), method === "*" ? object : method]);
  }
  const lines = [...rows].map(([key, methods]) => {
    const [object, covered, note] = JSON.parse(key), whole = methods.includes(object);
    return `| ${object && !whole ? `${object}: ` : ""}${methods.map((name) => `\`${name}\``).join(", ")} | ${said[covered]} | ${note} |`;
  });
  return [`| ${what} | ${how} | ${note} |`, "|---|---|---|", ...lines].join("\n");
}
for (const [docs, heads, said] of [
  ["docs/sdk.md", ["of the contract", "covered", "note"], { yes: "yes", partly: "partly", no: "no" }],
  ["docs/sdk.zh-CN.md", ["契约里的", "覆盖", "说明"], { yes: "是", partly: "部分", no: "否" }],
]) {
  test(`${docs} has the lists`, () => {
    const file = join(root, docs);
    let page = readFileSync(file, "utf8");
    for (const name of ["salesforce", "streams"]) {
      const whole = new RegExp(`(<!-- covered: ${name} -->\n)[^]*?(\n<!-- end -->)`), want = table(covered[name], heads, said);
      if (process.env.UPDATE_DOCS) writeFileSync(file, (page = page.replace(whole, (_, begin, end) => begin + want + end)));
      assert.equal(whole.exec(page)?.[0], `<!-- covered: ${name} -->\n${want}\n<!-- end -->`, "UPDATE_DOCS=1 writes it");
    }
  });
}

test("the npm package has every file that it names", () => {
  const folder = join(root, "web/sdk"), { exports, files } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const named = new Set(Object.values(exports).flatMap((one) => Object.values(one)).map((file) => file.replace("./", "")));
  for (const file of files.filter((name) => /\.(js|d\.ts)$/.test(name))) {
    for (const [, other] of readFileSync(join(folder, file), "utf8").matchAll(/from "\.\/([^"]+)"/g)) named.add(file.endsWith(".d.ts") ? other.replace(/\.js$/, ".d.ts") : other);
  }
  assert.ok(named.size >= 8);
  assert.deepEqual([...named].filter((file) => !files.includes(file)), []);
});
