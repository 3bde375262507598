// The figures that the desk's colours promise, computed from the style sheet itself.
import assert from "node:assert/strict";
import { test } from "node:test";
import { text } from "./hands.js";

const themes = Object.fromEntries(text("web/desk.css").split(":root[data-theme=").slice(1, 3).map((part) => [part.slice(1, part.indexOf('"', 1)), Object.fromEntries([...part.slice(0, part.indexOf("}")).matchAll(/--([a-z0-9-]+): #([0-9A-F]{6});/g)].map(([, name, hex]) => [name, hex]))]));
const rgb = (hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
const linear = (v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
const contrast = (a, b) => { const [x, y] = [luminance(rgb(a)), luminance(rgb(b))]; return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05); };
/** CIE L*a*b*, D65. */
function lab(lin) {
  const [r, g, b] = lin;
  const f = (v) => (v > 216 / 24389 ? Math.cbrt(v) : (24389 / 27 * v + 16) / 116);
  const [x, y, z] = [(0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.95047, 0.2126 * r + 0.7152 * g + 0.0722 * b, (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.08883].map(f);
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}
// Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
const eyes = {
  protanopia: [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
  deuteranopia: [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
  tritanopia: [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
};
const states = ["green", "amber", "blue", "violet", "red", "grey"];

test("both themes are there", () => assert.deepEqual(Object.keys(themes).sort(), ["dark", "light"]));
for (const [name, c] of Object.entries(themes)) {
  const least = (n, a, b) => assert.ok(contrast(c[a], c[b]) >= n, `${name}: ${a} on ${b} is ${contrast(c[a], c[b]).toFixed(2)}, less than ${n}`);
  test(`${name}: everything can be read on its ground`, () => {
    for (const ground of ["canvas", "surface", "sunken"]) { least(13, "ink", ground); least(6.8, "ink2", ground); least(4.8, "ink3", ground); least(3, "edge", ground); }
    for (const s of states) {
      least(4.8, s, `${s}-tint`);
      least(5.5, s, "surface");
      for (const ink of ["ink", "ink2", "ink3"]) least(4.8, ink, `${s}-tint`);
      const on = name === "dark" ? "0E1217" : "FFFFFF";
      assert.ok(contrast(c[s], on) >= 5.5, `${name}: text on ${s}`);
    }
    least(10, "on-ring", "ring");
    least(4.5, "answer", "ring");
    least(8, "on-answer", "answer");
  });
  test(`${name}: no two states look alike, to any eyes`, () => {
    for (const [kind, m] of Object.entries(eyes)) {
      const seen = Object.fromEntries(states.map((s) => { const l = rgb(c[s]).map(linear); return [s, lab(m.map((row) => Math.min(1, Math.max(0, row[0] * l[0] + row[1] * l[1] + row[2] * l[2]))))]; }));
      for (const [i, a] of states.entries()) for (const b of states.slice(i + 1)) {
        const apart = Math.hypot(...seen[a].map((v, at) => v - seen[b][at]));
        assert.ok(apart >= 17, `${name}, ${kind}: ${a} and ${b} are ${apart.toFixed(1)} apart`);
      }
    }
  });
}
