// The few parts that every page is made of. What comes from callers and systems goes through them as text.
import { html, nothing } from "../vendor/lit-html.js";
import { ask } from "./ask.js";
import { at, here, turn } from "./route.js";
import { age, t, when, whole } from "./say.js";

export { html, nothing };

/** What everything shares: who is signed in, what is wrong, what was said last. */
export const shared = {
  /** @type {any} */ session: undefined,
  /** @type {any} */ overview: undefined,
  /** @type {{text: string, bad: boolean, on: string} | undefined} */ told: undefined,
  /** @type {any} */ dialog: undefined,
  draw: () => {},
};
export const draw = () => shared.draw();
export const may = (right) => Boolean(shared.session?.rights?.includes(right));

/** Said in the page's head and to who listens. */
export function tell(text, bad = false) {
  shared.told = { text, bad, on: here().page };
  const region = document.getElementById(bad ? "alert" : "status");
  if (region) region.textContent = text;
  draw();
}
export function sorry(failed) {
  tell([failed.status === 401 ? t("lost") : refusal(failed), ...(failed.problems ?? []).map(problem)].join(" · "), true);
}
/** Why something was not done, in our own words where there are some. */
export const refusal = ({ status, code, values, message }) => (status === 0 ? t("no-answer") : t(`refused.${code}`, values.role ? { ...values, role: t(`role.${values.role}`, {}, values.role) } : values, message));
/** What is wrong, in our own words where there are some. */
export const fault = ({ code, values, found, wanted }) => t(`fault.${code}`, values, `${found}; ${wanted}`);
export const problem = (it) => `${it.file ?? ""}${it.line ? `:${it.line}` : ""} ${it.key ?? ""}: ${fault(it)}`;

/** What a page has asked for, kept until it is asked again: an answer that comes late does not take the place of a later one. */
export class Kept {
  /** @type {any} */ data; /** @type {any} */ failed; #turn = 0; #path = "";
  /** Asks; what was asked of another path is not shown for this one. */
  async load(path) {
    const turn = ++this.#turn;
    if (path !== this.#path) { this.data = undefined; this.failed = undefined; this.#path = path; }
    try {
      const data = await ask(path);
      if (turn === this.#turn) { this.data = data; this.failed = undefined; }
    } catch (failed) {
      if (turn === this.#turn) this.failed = failed;
    }
    draw();
  }
}

export const icon = (name) => html`<svg aria-hidden="true"><use href=${`#i-${name}`}></use></svg>`;
const icons = { green: "ok", amber: "clock", red: "warn", grey: "dash", blue: "clock", violet: "pen" };
/** Colour is the third sign, after icon and word. */
export const dot = (colour, word) => html`<span class=${`dot ${colour}`}>${icon(icons[colour])}<span>${word}</span></span>`;
export const time = (iso) => (iso ? html`<time datetime=${iso} title=${whole(iso)}>${when(iso)}</time>` : "—");
export const ago = (iso) => (iso ? html`<time datetime=${iso} title=${whole(iso)}>${age(iso)}</time>` : "—");

/** The states of what is to be delivered. */
const colours = { done: "green", waiting: "grey", claimed: "grey", later: "amber", person: "red", dead: "red", dropped: "grey", withdrawn: "grey" };
export const state = (word) => dot(colours[word] ?? "grey", t(`state.${word}`));

/** Head of a page: its name, its first line, what was said last, and what can be done. */
export function head({ title, line = /** @type {any} */ (nothing), acts = /** @type {any} */ (nothing) }) {
  const told = shared.told?.on === here().page ? shared.told : undefined;
  return html`<header class="top"><div><h1>${title}</h1><p class="line">${line}</p></div><div class="acts-of">${acts}</div></header>
    <p class=${`heard ${told?.bad ? "red" : ""}`}>${told ? html`${icon(told.bad ? "warn" : "ok")}<span>${told.text}</span>` : nothing}</p>`;
}

/** What a page shows while nothing is there, or cannot be had; else `show`, and that it is old where it could not be had again. */
export function shown(kept, show) {
  const { data, failed } = kept, why = failed && html`<p class=${data === undefined ? "nothing red" : "fault red"}>${icon("warn")} ${refusal(failed)}</p>`;
  if (data !== undefined) return html`${why ?? nothing}${show(data)}`;
  if (why) return why;
  return html`<div class="bars" aria-hidden="true">${[0, 1, 2, 3].map(() => html`<i></i>`)}</div>`;
}

/** One table: `columns` are [name, class?], `cells(row)` what stands in them; the first cell of a row is a link that opens it. */
export function table({ label, columns, rows, id, cells, empty, tick = /** @type {any} */ (undefined) }) {
  if (!rows.length) return html`<p class="nothing">${empty}</p>`;
  const { page, of } = here(), chosen = of.row;
  return html`<div class="scroll" role="region" aria-label=${label} tabindex="0"><table class="list-of">
    <thead><tr>${tick ? html`<th class="tick-of">${tick.all}</th>` : nothing}${columns.map(([name, kind = ""]) => html`<th scope="col" class=${kind}>${name}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => {
      const own = id(row), is = own === chosen;
      return html`<tr class=${is ? "chosen" : ""} @click=${(event) => open(event, own)}>${tick ? html`<td class="tick-of">${tick.one(row)}</td>` : nothing}
        ${cells(row).map((cell, n) => html`<td class=${columns[n][1] ?? ""}>${n ? cell : html`<a href=${at(page, { ...of, row: own })} aria-current=${is ? "true" : nothing} @keydown=${walk}>${cell}</a>`}</td>`)}</tr>`;
    })}</tbody></table></div>`;
}
function open(event, row) {
  if (event.target.closest("a, button, input, label") || String(getSelection())) return;
  turn({ row });
}
/** Up and down go from row to row. */
function walk(event) {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  const next = step && event.currentTarget.closest("tr")[step]?.querySelector("td a");
  if (next) { event.preventDefault(); next.focus(); }
}

/** The side panel of the chosen row. */
export function panel(title, inside) {
  return html`<aside id="panel-of" aria-labelledby="panel-title"><header><h2 id="panel-title" tabindex="-1">${title}</h2><button type="button" class="bare" aria-label=${t("close")} @click=${shut}>${icon("x")}</button></header>${inside}</aside>`;
}
export function shut() {
  const { row } = here().of;
  turn({ row: "" });
  queueMicrotask(() => [.../** @type {NodeListOf<HTMLAnchorElement>} */ (document.querySelectorAll("td a"))].find((link) => new URLSearchParams(link.hash.split("?")[1]).get("row") === row)?.focus());
}

/** Names and values. */
export const pairs = (list) => html`<dl class="pairs-of">${list.filter(([, value]) => value !== undefined && value !== null && value !== "").map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`;
/** Data as it is, each name on its own line. */
export function tree(value) {
  if (value === null || value === undefined || value === "") return html`<span class="ink3">${t("none")}</span>`;
  if (typeof value !== "object") return String(value);
  const entries = Array.isArray(value) ? value.map((one, n) => [String(n + 1), one]) : Object.entries(value);
  return entries.length ? pairs(entries.map(([name, one]) => [name, tree(one)])) : html`<span class="ink3">${t("none")}</span>`;
}
export const section = (title, inside) => html`<section><h3>${title}</h3>${inside}</section>`;

/** A comparison of two texts, line by line. The signs say it, the colour only helps. */
export function diff(lines) {
  if (!lines.length) return html`<p class="nothing">${t("diff.none")}</p>`;
  const kinds = { "+": "plus", "-": "minus", "@": "cut-out", " ": "" }, words = { "+": t("diff.plus"), "-": t("diff.minus") };
  return html`<div class="diff" role="region" tabindex="0" aria-label=${t("diff")}>${lines.map(({ sign, text }) => html`<div class=${kinds[sign]}>${words[sign] ? html`<span class="unseen">${words[sign]} </span>` : nothing}<span aria-hidden="true">${sign === "@" ? "⋯" : sign}</span> ${text}</div>`)}</div>`;
}

/** A choice of a filter, kept in the address. */
export function choice(name, label, options) {
  const { of } = here();
  return html`<label class="filter"><span>${label}</span><select name=${name} @change=${(e) => turn({ [name]: e.target.value, row: "" })}>${options.map(([value, text]) => html`<option value=${value} ?selected=${(of[name] ?? "") === value}>${text}</option>`)}</select></label>`;
}
export function field(name, label, type = "search") {
  const { of } = here();
  return html`<label class="filter"><span>${label}</span><input type=${type} name=${name} autocomplete="off" .value=${of[name] ?? ""} @change=${(e) => turn({ [name]: e.target.value.trim() })}></label>`;
}

/** A question before something is done. Resolves with what was typed, or with nothing. */
export function why({ title, text = "", label = t("why"), hint = t("why.hint"), act, required = true, inside = /** @type {any} */ (nothing) }) {
  return new Promise((resolve) => {
    shared.dialog = { title, text, label, hint, act, required, inside, resolve, wide: inside !== nothing };
    draw();
  });
}

/** Does it, says what came of it, and shows how it stands then. */
export async function doing(work, after) {
  try {
    const told = await work();
    if (told) tell(told);
  } catch (failed) {
    sorry(failed);
  }
  await after?.();
}
/** "3 tried again. Not 1: it is done." */
export function counted(key, { done, not }) {
  const reasons = [...new Set(not.map((one) => t(`refused.${one.code}`, one.values, one.why).replace(/[.。]$/, "")))].join(t("and.also"));
  return [done || !not.length ? t(`${key}.done`, { n: done }) : "", not.length ? t(`${key}.not`, { n: not.length, why: reasons }) : ""].filter(Boolean).join(" ");
}
