// Keys: what each does, which it is here, and the door through which all of them come. "Mod" is Ctrl, on a Mac Command.
import { $, composing, el } from "./hands.js";
import { language, t } from "./say.js";

export const mac = /mac/i.test(navigator.platform);
const first = {
  "call.answer": "F8", "call.hangup": "Shift+F8", "call.hold": "Mod+F8", notes: "F2", outcome: "Shift+F2", palette: "Mod+K", done: "Mod+Enter", help: "Mod+/",
};
export const names = Object.keys(first);
const own = () => { try { return JSON.parse(localStorage.getItem("keys")) ?? {}; } catch { return {}; } };
/** "" is off. */
export const keyOf = (name) => own()[name] ?? first[name] ?? "";
export function setKey(name, key) {
  const all = own();
  // One key does one thing.
  if (key) for (const other of names) if (other !== name && keyOf(other) === key) all[other] = "";
  all[name] = key;
  localStorage.setItem("keys", JSON.stringify(all));
}
export const resetKeys = () => localStorage.removeItem("keys");
/** As it is printed on a keyboard. */
export const shown = (name) => keyOf(name).replace("Mod", mac ? "⌘" : "Ctrl").replaceAll("+", " ");

/** The name of what was pressed: modifiers, then the key. */
export function pressed(e) {
  const key = e.key === " " ? "Space" : e.key.length === 1 ? e.key.toUpperCase() : e.key;
  if (["Control", "Shift", "Alt", "Meta", "Dead", "Unidentified"].includes(key)) return "";
  // A character that needs Shift is named by itself.
  const shift = e.shiftKey && (key.length > 1 || /[A-Z]/.test(key));
  return [(e.ctrlKey || e.metaKey) && "Mod", e.altKey && "Alt", shift && "Shift", key].filter(Boolean).join("+");
}
/** A key that types a character would answer calls while somebody writes: those need Ctrl, Alt or Command. */
export const allowed = (key) => /^(Mod\+|Alt\+|Mod\+Alt\+)/.test(key) || /^(Shift\+)?F\d{1,2}$/.test(key);

/** @type {Record<string, () => void>} */
const deeds = {};
export const does = (name, deed) => { deeds[name] = deed; };
export const run = (name) => deeds[name]?.();

addEventListener("keydown", (e) => {
  if (composing(e) || $("desk").hidden || e.defaultPrevented) return;
  const key = pressed(e), name = names.find((n) => key && keyOf(n) === key);
  if (key === "Escape" && deeds.escape) { deeds.escape(); e.preventDefault(); return; }
  if (!name || !deeds[name]) return;
  e.preventDefault();
  if (!e.repeat) deeds[name]();
});

/** The table, each key to be pressed anew or switched off. */
export function drawKeys(changed, says) {
  $("keys-list").replaceChildren(...names.map((name) => {
    const b = el("button", "key", shown(name) || t("keys.off"));
    b.type = "button";
    b.dataset.key = `key ${name}`;
    b.setAttribute("aria-label", `${t(`key.${name}`)}: ${shown(name) || t("keys.off")}`);
    b.onclick = () => { b.textContent = t("keys.press"); b.dataset.waits = ""; };
    b.onblur = () => { delete b.dataset.waits; b.textContent = shown(name) || t("keys.off"); };
    b.onkeydown = (e) => {
      if (composing(e) || b.dataset.waits === undefined || e.key === "Tab") return;
      const key = pressed(e);
      e.preventDefault();
      e.stopPropagation();
      if (!key) return;
      if (key === "Escape") { b.blur(); return; }
      if (key !== "Backspace" && key !== "Delete" && !allowed(key)) { says(t("keys.not")); return; }
      setKey(name, ["Backspace", "Delete"].includes(key) ? "" : key);
      says("");
      changed();
    };
    const row = el("tr", "", el("th", "", t(`key.${name}`)), el("td", "", b));
    row.firstElementChild.setAttribute("scope", "row");
    return row;
  }));
  $("keys-list").lang = language();
}
/** The hints beside fields. */
export function drawHints() {
  for (const e of document.querySelectorAll("kbd[data-kbd]")) { e.textContent = shown(/** @type {HTMLElement} */ (e).dataset.kbd); /** @type {HTMLElement} */ (e).hidden = !e.textContent; }
}
