// The agent's page of the docs names every key of the desk, and no other.
import assert from "node:assert/strict";
import { test } from "node:test";
import { text } from "./hands.js";

const [, list] = /const first = \{([^}]*)\}/.exec(text("web/keys.js"));
const keys = [...list.matchAll(/: "([^"]+)"/g)].map(([, key]) => key.replace("Mod", "Ctrl").replaceAll("+", " "));
for (const [docs, head, candidates] of [["docs/desk.md", "| key | does |", "0 to 9"], ["docs/desk.zh-CN.md", "| 按键 | 作用 |", "0 到 9"]]) {
  test(`${docs} has the desk's keys`, () => {
    const table = text(docs).split(head)[1].split("\n\n")[0].split("\n").slice(2);
    assert.ok(keys.length > 5);
    const cells = table.flatMap((row) => row.split("|")[1].trim().split(/, |、/));
    assert.deepEqual(cells.sort(), [...keys, "Esc", candidates].sort());
  });
}
