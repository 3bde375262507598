// Small hands for the document. Data goes into it as text nodes only.
import { groups, language, t } from "./say.js";

/** @type {(id: string) => any} Whatever element it is. */
export const $ = (id) => document.getElementById(id);
/** @type {(what: string) => NodeListOf<HTMLElement>} */
export const every = (what) => document.querySelectorAll(what);

export function el(tag, classes = "", ...inside) {
  const e = document.createElement(tag);
  if (classes) e.className = classes;
  e.append(...inside.filter((x) => x !== undefined && x !== null && x !== "" && x !== false));
  return e;
}
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.append(use);
  return svg;
}
export function button(text, act, key, classes) {
  const b = el("button", classes, text);
  b.type = "button";
  if (key) b.dataset.key = key;
  b.onclick = act;
  return b;
}
/** Replaces what is inside only if the picture differs, and leaves the focus on what it was on. */
export function fill(box, picture, make) {
  const key = JSON.stringify([language(), picture]);
  if (box.picture === key) return;
  box.picture = key;
  const at = document.activeElement;
  const within = at instanceof HTMLElement && box.contains(at) && at !== box, on = within ? at.dataset.key : undefined;
  box.replaceChildren(...make());
  if (!within) return;
  const again = on !== undefined && [...box.querySelectorAll("[data-key]")].find((e) => e.dataset.key === on);
  if (again) again.focus();
  // What had the focus is gone: the region's heading has it, and Tab goes on from there.
  else (box.closest("[tabindex]") ?? $("name")).focus();
}
export const put = (e, text) => { if (e.textContent !== text) e.textContent = text; };
/** What a screen reader says: "status" when it has time, "alert" at once. */
export function say(where, text) {
  const e = $(where);
  // The same words again are news again: a space more makes them so.
  e.textContent = e.textContent === text ? `${text}\u00a0` : text;
}
/** A number in groups: the gaps are margins, so that copying gives the digits. */
export const number = (n) => (n?.class === "anonymous" ? [t("withheld")] : groups(n).map((g) => el("span", "", g)));
/** A time that runs; the page's clock fills it. */
export function running(since) {
  const e = el("span", "runs");
  e.dataset.since = since ?? "";
  return e;
}
/** While an input method composes, Enter and function keys belong to it. */
export const composing = (e) => e.isComposing || e.key === "Process" || e.keyCode === 229;
export function away(url, ...inside) {
  const a = el("a", "", ...inside);
  a.href = url;
  a.target = "_blank";
  a.rel = "noopener noreferrer";
  return a;
}

// Boxes beside the call: one at a time, never modal, never over the strip. Closed, the focus goes back to where it came from.
const boxes = ["panel", "maker", "flow", "desks", "to", "team", "ticketing", "editor", "states-box", "settings"];
let opener;
export function open(id) {
  const from = document.activeElement;
  const shown = boxes.some((other) => $(other).open);
  for (const other of boxes) if (other !== id && $(other).open) $(other).close();
  if (!$(id).open) $(id).show();
  if (!shown) opener = from instanceof HTMLElement && from !== document.body ? from : undefined;
}
export function shut(id, back = true) {
  if (!$(id).open) return;
  $(id).close();
  if (back) (opener?.isConnected && opener.checkVisibility() ? opener : $("find").checkVisibility() ? $("find") : $("name")).focus();
}
/** The box that is open, if one is. */
export const top = () => boxes.find((id) => $(id).open);
