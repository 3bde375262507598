// The reference in the docs is made from the SDK's types.
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { reference } from "./reference.js";

const root = resolve(fileURLToPath(import.meta.url), "../../../..");
for (const [language, docs] of [["en", "docs/sdk-reference.md"], ["zh", "docs/sdk-reference.zh-CN.md"]]) {
  test(`${docs} is what the types say`, () => {
    const made = reference(join(root, "web/sdk"), language), file = join(root, docs);
    if (process.env.UPDATE_DOCS) writeFileSync(file, made);
    assert.equal(readFileSync(file, "utf8"), made, "UPDATE_DOCS=1 writes it");
    for (const name of ["### Linecard\n", "### Call\n", "### bindTelLinks\n", "### LinecardPanel\n", "### LinecardConnector\n", "### streams\n", "### Contact\n"]) assert.ok(made.includes(name), name);
  });
}
