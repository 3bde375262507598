// What others wrote lies in web/vendor/ exactly as the registry has it: in the version that package.json names, which web/vendor/README.md tells too.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "./site.js";

test("lit-html is the registry's", () => {
  const ours = readFileSync(join(root, "web/vendor/lit-html.js")), theirs = readFileSync(join(root, "tests/web/node_modules/lit-html/lit-html.js"));
  assert.ok(ours.equals(theirs));
  const { devDependencies } = JSON.parse(readFileSync(join(root, "tests/web/package.json"), "utf8"));
  assert.match(readFileSync(join(root, "web/vendor/README.md"), "utf8"), new RegExp(`lit-html.js.* ${devDependencies["lit-html"]} .*BSD-3-Clause`));
});
