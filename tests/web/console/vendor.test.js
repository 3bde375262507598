// What others wrote lies in web/vendor/ exactly as the registry has it: in the version that package.json names, which web/vendor/README.md tells too.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { root } from "./site.js";

const { devDependencies } = JSON.parse(readFileSync(join(root, "tests/web/package.json"), "utf8"));
for (const [file, of, licence] of [["lit-html.js", "lit-html/lit-html.js", "BSD-3-Clause"], ["uPlot.iife.min.js", "uplot/dist/uPlot.iife.min.js", "MIT"], ["uPlot.min.css", "uplot/dist/uPlot.min.css", "MIT"]]) {
  test(`${file} is the registry's`, () => {
    const ours = readFileSync(join(root, "web/vendor", file)), theirs = readFileSync(join(root, "tests/web/node_modules", of));
    assert.ok(ours.equals(theirs));
    const line = readFileSync(join(root, "web/vendor/README.md"), "utf8").split("\n").find((l) => l.includes(`\`${file}\``));
    assert.ok(line?.includes(`| ${devDependencies[of.split("/")[0]]} | ${licence},`), line);
  });
}
