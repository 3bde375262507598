// The outcome: whole paths to search in, by words or by the initials of their pinyin; the three likeliest of the queue as buttons.
import { $, button, composing, el, fill, put } from "./hands.js";
import { desk } from "./here.js";
import { t } from "./say.js";

export const pathOf = (text) => text.split(/[›>/]/).map((s) => s.trim()).filter(Boolean).slice(0, 16);
const whole = (path) => path.join(" › ");

// What this agent used, with how often in which queue. Outcomes are words of the company, not of the caller.
const used = () => { try { return (JSON.parse(localStorage.getItem("outcomes")) ?? []).filter((o) => Array.isArray(o?.path)); } catch { return []; } };
export function remember(path, queue = "") {
  if (!path.length) return;
  const all = used(), known = all.find((o) => whole(o.path) === whole(path) && o.queue === queue) ?? { path, queue, n: 0 };
  localStorage.setItem("outcomes", JSON.stringify([{ ...known, n: known.n + 1 }, ...all.filter((o) => o !== known)].slice(0, 60)));
}
/** Those of this call's queue that were used most, then what the queue's list says, then what was used elsewhere. */
function choices(call) {
  const queue = call?.pop.queue?.id ?? "", all = used(), here = all.filter((o) => o.queue === queue).sort((a, b) => b.n - a.n);
  const listed = Object.hasOwn(desk.outcomes, queue) ? desk.outcomes[queue] : desk.outcomes["*"];
  const paths = [...here.map((o) => o.path), ...(listed ? listed.map(pathOf) : all.map((o) => o.path))];
  return [...new Map(paths.map((path) => [whole(path), path])).keys()];
}

// Where each initial begins in the order of pinyin; browsers know that order, so that no table of characters is needed.
const edges = "阿八嚓哒妸发旮哈讥咔垃痳拏噢妑七呥扨它穵夕丫帀", letters = "abcdefghjklmnopqrstwxyz", order = new Intl.Collator("zh-CN-u-co-pinyin");
export function initials(text) {
  return [...text].map((c) => {
    if (!/\p{Script=Han}/u.test(c)) return /[\p{L}\p{N}]/u.test(c) ? c.toLowerCase() : "";
    let at = -1;
    while (at + 1 < edges.length && order.compare(edges[at + 1], c) <= 0) at += 1;
    return letters[at] ?? "";
  }).join("");
}
export function fits(path, text) {
  const want = text.trim().toLowerCase().replace(/\s*[›>/]\s*/g, " › ");
  return !want || path.toLowerCase().includes(want) || (/^[a-z0-9]+$/.test(want) && initials(path).includes(want));
}

let at = -1;
const shown = () => [...$("outcomes").children];
function mark(next) {
  at = next;
  shown().forEach((o, i) => o.setAttribute("aria-selected", String(i === at)));
  const on = shown()[at];
  if (on) { $("outcome").setAttribute("aria-activedescendant", on.id); on.scrollIntoView({ block: "nearest" }); } else $("outcome").removeAttribute("aria-activedescendant");
}
function close() {
  $("outcomes").replaceChildren();
  $("outcomes").hidden = true;
  $("outcome").setAttribute("aria-expanded", "false");
  mark(-1);
}
function search(all = false) {
  const list = choices(desk.call).filter((path) => all || fits(path, $("outcome").value)).slice(0, 50);
  if (!list.length || (list.length === 1 && list[0] === $("outcome").value)) { close(); return; }
  $("outcomes").replaceChildren(...list.map((path, i) => {
    const o = el("li", "option", path);
    o.id = `outcome ${i}`.replace(" ", "-");
    o.setAttribute("role", "option");
    // Before the field loses the focus.
    o.onmousedown = (e) => { e.preventDefault(); take(path); };
    return o;
  }));
  $("outcomes").hidden = false;
  $("outcome").setAttribute("aria-expanded", "true");
  mark(-1);
}
function take(path) {
  $("outcome").value = path;
  close();
  $("outcome").dispatchEvent(new Event("input", { bubbles: true }));
}
export const begun = close;
export function drawOutcome(call) {
  $("outcome").placeholder = t("outcome.hint");
  const required = !!call?.pop.outcome_required;
  put($("outcome").labels[0], t(required ? "outcome.required" : "outcome"));
  $("outcome").required = required;
  const three = call ? choices(call).slice(0, 3) : [];
  fill($("likely"), [three, $("outcome").value, !!call && $("outcome").disabled], () => three.map((path) => {
    const b = button(path, () => take(path), `likely ${path}`);
    b.setAttribute("aria-pressed", String(path === $("outcome").value));
    b.disabled = $("outcome").disabled;
    return b;
  }));
}
$("outcome").addEventListener("input", (e) => { if (e.isTrusted) search(); drawOutcome(desk.call); });
$("outcome").onclick = () => { if ($("outcomes").hidden) search(true); };
$("outcome").onblur = close;
$("outcome").onkeydown = (e) => {
  if (composing(e) || e.ctrlKey || e.metaKey) return;
  const open = !$("outcomes").hidden, n = shown().length;
  if ((e.key === "ArrowDown" || e.key === "ArrowUp") && !open) { search(true); mark($("outcomes").hidden ? -1 : 0); }
  else if (e.key === "ArrowDown" && open) mark((at + 1) % n);
  else if (e.key === "ArrowUp" && open) mark((at - 1 + n) % n);
  else if (e.key === "Enter" && open && at >= 0) take(shown()[at].textContent);
  else if (e.key === "Escape" && open) { close(); e.stopPropagation(); }
  else return;
  e.preventDefault();
};
