// Trunk mappings: a table that is typed into, checked as one types, tried with a call that nobody makes, and applied by a second act that shows what would change in the
// file. What is typed stays until it is applied or thrown away: a session that ends, a page that is left and a file that was changed by others take nothing of it.
import { Refused, ask } from "./ask.js";
import { ago, diff, doing, dot, draw, fault, head, html, icon, may, nothing, problem, refusal, shared, sorry, tell, time, why } from "./parts.js";
import { again, applied, changes, edited, move, place, proposed, row, rowsOf, sent } from "./mapping.js";
import { here, turn } from "./route.js";
import { count, t } from "./say.js";

/** @type {import("./mapping.js").Table | undefined} */
let table;
/** @type {import("./mapping.js").Row[]} */
let rows = [];
/** @type {any} */
let failed;
/** What the daemon said of these rows last, by row id and column. */
let verdict = { faults: new Map(), notes: new Map(), others: /** @type {any[]} */ ([]), diff: /** @type {any[]} */ ([]), kept: true, late: false };
let under = false, wanted = false, /** whether `verdict` is of the rows as they stand */ fresh = true;
let all = false; // columns
/** @type {any} */
let versions;
/** @type {any} */
let version;
const call = { from: "", to: "", switch: "", trunk: "", agent: "", offline: false };
/** @type {any} */
let played;
let playing = false;
/** @type {{revision: string, days: number, calls: number[]} | undefined} */
let calls;
let counted = 0;
/** Counted by the daemon every few minutes; what cannot be counted now is asked again then. */
async function count7() {
  if (Date.now() - counted < 60_000 && calls?.revision === table?.revision) return;
  counted = Date.now();
  try { calls = await ask("/v1/trunks/calls"); } catch { calls = undefined; }
  draw();
}
/** Of a row that lies in the file as it is. */
const callsOf = (of) => (of.was !== undefined && calls?.revision === table?.revision ? calls?.calls[of.was] : undefined);

const first = ["trunk", "dialled", "title", "brand", "queue_label", "language", "connectors"];
const title = (column) => t(`column.${column}`, {}, column);
export const unsaved = () => (table ? changes(table, rows) : 0);

/** The file as it is; `rows` makes of it what stands in the table, before anything is drawn. */
async function read(made) {
  try {
    const now = await ask("/v1/trunks");
    rows = made(now);
    table = now;
    failed = undefined;
  } catch (trouble) { failed = trouble; }
  draw();
}
/** Rows without edits, of a file that may be another one by now. */
const follow = (now) => (now.revision === table?.revision ? rows : rowsOf(now));
/** What lies in the file, without edits. */
async function fromFile() {
  await read(rowsOf);
  verdict = { faults: new Map(), notes: new Map(), others: [], diff: [], kept: true, late: false };
  void check();
}

/** One question at a time; what was typed meanwhile is asked when the answer is there. */
async function check() {
  fresh = false;
  wanted = true;
  if (under || !table) return;
  under = true;
  while (wanted) {
    wanted = false;
    const of = sent(rows), now = table;
    try {
      const said = await ask("/v1/trunks/check", { revision: now.revision, rows: proposed(rows) });
      const by = (list) => {
        const map = new Map();
        for (const one of list) if (one.row !== null && of[one.row]) map.set(of[one.row].id, [...(map.get(of[one.row].id) ?? []), one]);
        return map;
      };
      verdict = { faults: by(said.problems), notes: by(said.notes), others: said.problems.filter((p) => p.row === null || !of[p.row]), diff: said.diff, kept: said.kept, late: said.late };
      fresh = !wanted;
    } catch (trouble) {
      if (trouble.status !== 401) sorry(trouble);
    }
  }
  under = false;
  draw();
}

function type(of, column, text) {
  of.cells[column] = text;
  void check();
  draw();
}
function add(at, cells = {}) {
  rows = [...rows.slice(0, at), row(cells), ...rows.slice(at)];
  void check();
  draw();
  focus(at, "dialled");
}
function remove(at) {
  const gone = rows[at];
  rows = rows.filter((r) => r !== gone);
  void check();
  tell(t("trunks.removed", { n: at + 1 }));
  focus(Math.min(at, rows.length - 1), "dialled");
}
function shift(at, by, column) {
  rows = move(rows, at, by);
  void check();
  draw();
  focus(Math.max(0, Math.min(rows.length - 1, at + by)), column);
  const status = document.getElementById("status");
  if (status) status.textContent = t("trunks.moved", { n: Math.max(1, Math.min(rows.length, at + by + 1)) });
}
const focus = (at, what) => setTimeout(() => /** @type {HTMLElement | null} */ (document.querySelector(`[data-row="${at}"] [data-column="${what}"]`))?.focus());

/** Up and down go through a column, with Alt they move the row. */
function keys(event, at, column) {
  if (event.isComposing || event.key === "Process" || event.keyCode === 229) return;
  const by = { ArrowDown: 1, ArrowUp: -1, Enter: 1 }[event.key];
  if (!by) return;
  event.preventDefault();
  if (event.altKey && event.key !== "Enter" && may("change")) shift(at, by, column);
  else focus(at + by, column);
}

async function discard() {
  if ((await why({ title: t("trunks.discard"), text: t("trunks.discard.text", { n: unsaved() }), act: t("trunks.discard"), label: "", required: false })) === undefined) return;
  await fromFile();
  tell(t("trunks.discarded"));
}

async function show() {
  const said = await why({
    title: t("apply.title", { n: unsaved() }), text: verdict.kept ? t("apply.text") : t("apply.rewritten"), label: t("apply.why"), act: t("apply"), required: false, inside: () => diff(verdict.diff),
  });
  if (said === undefined || !table) return;
  const n = unsaved(), mine = sent(rows);
  try {
    const { revision } = await ask("/v1/trunks/apply", { revision: table.revision, rows: proposed(rows), ...(said ? { why: said } : {}) });
    // What was typed meanwhile is on top of it.
    await read((now) => (now.revision === revision ? applied(rows, mine) : rowsOf(now)));
    void check();
    versions = undefined;
    tell(t("apply.done", { n }));
  } catch (trouble) {
    if (trouble.status === 409) { verdict.late = true; tell(t("late"), true); } else sorry(trouble);
  }
}
/** The file as it is now, with what was typed on top of it. */
async function onTop() {
  const old = /** @type {import("./mapping.js").Table} */ (table), mine = rows;
  await read((now) => again(old, mine, now));
  verdict.late = false;
  void check();
  tell(t("late.kept", { n: unsaved() }));
}

const bytes = (file) => new Promise((good, bad) => {
  const reader = new FileReader();
  reader.onload = () => good(String(reader.result).split(",")[1] ?? "");
  reader.onerror = () => bad(new Refused(400, { error: t("csv.unread") }));
  reader.readAsDataURL(file);
});
async function csv(input) {
  const file = input.files[0];
  input.value = "";
  if (file) await doing(async () => {
    const { rows: came } = await ask("/v1/trunks/read-csv", { base64: await bytes(file) });
    rows = came.map(({ was, cells }) => row(cells, was ?? undefined));
    void check();
    return t("csv.read", { n: rows.length, changed: unsaved() });
  });
}

// The table.
/** What stands in the first columns, and each column that is used or faulty; all of them if wanted. */
function columns() {
  const there = /** @type {import("./mapping.js").Table} */ (table).columns, bad = new Set([...verdict.faults.values()].flat().map((f) => f.column));
  const shownToo = (name) => all || bad.has(name) || rows.some((r) => r.cells[name]?.trim());
  return [...first.filter((name) => there.includes(name)), ...there.filter((name) => !first.includes(name) && shownToo(name))];
}
/** As wide as what stands in it; signs of Chinese are twice as wide as letters. */
const width = (text) => Math.min(30, Math.max(7, [...text].reduce((n, sign) => n + (sign > "\u2e80" ? 2 : 1), 1)));

function cell(of, at, column) {
  const fault = verdict.faults.get(of.id)?.find((f) => f.column === column), text = of.cells[column] ?? "";
  if (!may("change")) return html`<td>${text || html`<span class="ink3">${at !== undefined && ["trunk", "dialled"].includes(column) ? t("any") : ""}</span>`}</td>`;
  return html`<td><input data-column=${column} .value=${text} size=${width(text)} aria-label=${t("cell", { column: title(column), n: at + 1 })} autocomplete="off" spellcheck="false"
    placeholder=${["trunk", "dialled"].includes(column) ? t("any") : ""} aria-invalid=${fault ? "true" : nothing} aria-errormessage=${fault ? `fault-${of.id}` : nothing} aria-describedby=${fault ? `fault-${of.id}` : nothing}
    @input=${(e) => type(of, column, e.target.value)} @keydown=${(e) => keys(e, at, column)}></td>`;
}
function line(of, at, shownColumns) {
  const faults = verdict.faults.get(of.id) ?? [], notes = verdict.notes.get(of.id) ?? [];
  const matched = played && rows[played.at]?.id === of.id && played.of === of.id;
  const kind = [matched ? "matched" : "", table && edited(table, of) ? "edited" : ""].join(" ");
  return html`<tr class=${kind} data-row=${at}><th scope="row">${at + 1}${matched ? html`<span class="unseen"> ${t("matched")}</span>` : nothing}${table && edited(table, of) ? html`<span class="unseen"> ${t("edited")}</span>` : nothing}</th>
    <td class="digits">${callsOf(of) === undefined ? "—" : count(callsOf(of))}</td>${shownColumns.map((column) => cell(of, at, column))}
    ${may("change") ? html`<td class="moves"><button type="button" class="bare" data-column="up" aria-label=${t("row.up", { n: at + 1 })} ?disabled=${at === 0} @click=${() => shift(at, -1, "up")}>${icon("up")}</button><button type="button" class="bare" data-column="down" aria-label=${t("row.down", { n: at + 1 })} ?disabled=${at === rows.length - 1} @click=${() => shift(at, 1, "down")}>${icon("down")}</button><button type="button" class="bare" data-column="remove" aria-label=${t("row.remove", { n: at + 1 })} @click=${() => remove(at)}>${icon("x")}</button></td>` : nothing}</tr>
    ${faults.length || notes.length ? html`<tr class=${`beneath ${kind}`}><td></td><td colspan=${shownColumns.length + 2}><div id=${`fault-${of.id}`}>${faults.map((f) => html`<p class="fault red">${icon("warn")} ${f.column ? html`<b>${title(f.column)}</b> ` : nothing}${fault(f)}</p>`)}</div>${notes.map((f) => html`<p class="fault ink3">${f.column ? html`<b>${title(f.column)}</b> ` : nothing}${fault(f)}</p>`)}</td></tr>` : nothing}`;
}
function grid() {
  const shownColumns = columns(), find = (here().of.find ?? "").toLowerCase();
  const has = (of) => !find || Object.values(of.cells).some((text) => text.toLowerCase().includes(find));
  return html`<div class="scroll" role="region" aria-label=${t("page.trunks")} tabindex="0"><table class="map"><thead><tr><th scope="col">${t("column.order")}</th><th scope="col" class="digits">${t("trunks.calls")}</th>${shownColumns.map((column) => html`<th scope="col">${title(column)}</th>`)}${may("change") ? html`<td></td>` : nothing}</tr></thead>
    <tbody>${rows.map((of, at) => (has(of) ? line(of, at, shownColumns) : nothing))}</tbody></table></div>
    <div class="under">${may("change") ? html`<button type="button" @click=${() => add(place(rows))}>${icon("plus")} ${t("row.add")}</button>` : nothing}<button type="button" aria-pressed=${String(all)} @click=${() => { all = !all; draw(); }}>${t("columns.all")}</button><span class="hint">${t("trunks.hint")}</span></div>`;
}
function acts() {
  if (!may("change")) return html`<a class="button" href="/v1/trunks.csv" download>${t("csv.out")}</a>`;
  const n = unsaved(), bad = [...verdict.faults.values()].flat().length + verdict.others.length;
  const held = !n || bad > 0 || !fresh || verdict.late;
  return html`<label class="button">${t("csv.in")}<input type="file" class="unseen" accept=".csv,text/csv" @change=${(e) => csv(e.target)}></label>
    <a class="button" href="/v1/trunks.csv" download>${t("csv.out")}</a>
    <button type="button" ?disabled=${!n} @click=${discard}>${t("trunks.discard")}</button>
    ${bad ? html`<span class="red held" id="held">${icon("warn")} ${t("mend", { n: bad })}</span>` : nothing}
    <button type="button" id="apply" class="strong" ?disabled=${held} aria-describedby=${bad ? "held" : nothing} @click=${show}>${t("apply.show", { n })}</button>`;
}

// The side: a call to try, versions, numbers without a row.
async function attempt(event) {
  event.preventDefault();
  playing = true;
  draw();
  const of = sent(rows), made = { from: call.from.trim(), offline: call.offline };
  for (const name of ["to", "switch", "trunk", "agent"]) if (call[name].trim()) made[name] = call[name].trim();
  await doing(async () => {
    const said = await ask("/v1/trunks/try", { call: made, ...(unsaved() ? { rows: proposed(rows) } : {}) });
    const taken = said.row ? of[said.row - 1] : undefined;
    played = { ...said, of: taken?.id, at: taken ? rows.indexOf(taken) : -1 };
    return taken ? t("try.row", { n: played.at + 1 }) : t("try.no-row");
  });
  playing = false;
  draw();
}
const put = (name, label, more = {}) => html`<label><span>${label}</span><input name=${`try-${name}`} .value=${call[name]} autocomplete="off" inputmode=${more.tel ? "tel" : nothing} ?required=${more.required ?? false} @input=${(e) => { call[name] = e.target.value; }}></label>`;
function strip(pop) {
  const { answer, candidates } = pop.card, one = answer.state === "found" ? candidates[0] : undefined;
  const name = one?.name ?? pop.name ?? (answer.state === "absent" ? t("pop.absent") : answer.state === "ambiguous" ? t("pop.ambiguous", { n: candidates.length }) : t("pop.unnamed"));
  return html`<div class="ring-of"><b>${name}</b><span>${pop.number?.display ?? pop.number?.raw ?? ""}</span><span>${[pop.title, pop.queue?.label].filter(Boolean).join(" · ")}</span></div>`;
}
function asked(one) {
  const [[way, of] = ["", {}]] = Object.entries(typeof one.way === "object" ? one.way ?? {} : { [one.way]: {} }), good = one.outcome === "ok", none = ["empty", "not_found"].includes(one.outcome);
  const saw = (one.saw ?? []).filter((s) => s.saw === "matched" || s.saw === "refused");
  return html`<li>${dot(good ? "green" : none ? "grey" : "red", html`<b>${one.version ?? one.system}</b> ${one.operation}: ${t(`outcome.of.${one.outcome}`, {}, one.outcome)}`)}<span class="digits ink3">${of?.ms === undefined ? t(`way.${way}`, {}, way) : `${of.ms} ms`}</span>
    ${one.reason ? html`<p class="ink3">${one.reason}</p>` : nothing}${saw.map((s) => html`<p class="ink3">${s.saw === "matched" ? t("try.matched", { id: s.id, why: s.why ?? "" }) : t("try.refused", { id: s.id, why: s.why ?? "" })}</p>`)}</li>`;
}
function result() {
  if (!played) return html`<p class="hint">${t("try.hint")}</p>`;
  const { trace, pop } = played, line = trace.line;
  return html`<div class="played">${pop ? strip(pop) : html`<p>${t("try.no-pop")}</p>`}<ol class="lookups">
    <li>${played.row ? dot("green", t("try.row", { n: played.at + 1 })) : dot("grey", t("try.no-row"))}<p class="ink3">${[line?.title, line?.dialled].filter(Boolean).join(" · ")}</p></li>
    ${(trace.asked ?? []).filter((one) => !(typeof one.way === "object" && one.way?.shared)).map(asked)}
    ${trace.steps?.length ? trace.steps.map((s) => html`<li>${dot(s.step === "offered" ? "green" : "grey", s.step === "offered" ? t("try.offered", { agent: s.agent, device: s.device ?? "" }) : s.step)}</li>`) : nothing}</ol>
    <details><summary>${t("try.lines")}</summary><pre tabindex="0">${played.lines.join("\n")}</pre></details></div>`;
}
const trying = () => html`<form @submit=${attempt}>${put("from", t("try.from"), { tel: true, required: true })}${put("to", t("try.to"), { tel: true })}
  <details><summary>${t("try.more")}</summary>${put("switch", t("switch"))}${put("trunk", t("column.trunk"))}${put("agent", t("agent"))}</details>
  <label class="tick-of-line"><input type="checkbox" .checked=${call.offline} @change=${(e) => { call.offline = e.target.checked; }}><span>${t("try.offline")}</span></label>
  <button class="strong" ?disabled=${playing}>${t("try")}</button></form>${result()}<p class="hint">${t("try.nothing-written")}</p>`;

async function past() {
  try { versions = await ask("/v1/trunks/history"); } catch (trouble) { sorry(trouble); }
  draw();
}
async function look(revision) {
  try { version = await ask(`/v1/trunks/history/${encodeURIComponent(revision)}`); } catch (trouble) { sorry(trouble); }
  draw();
}
async function back() {
  const it = version;
  const said = await why({ title: t("back.title"), text: t("back.text", { who: it.who }), label: t("apply.why"), act: t("back"), required: false, inside: () => diff(it.diff) });
  if (said === undefined || !table) return;
  try {
    await ask("/v1/trunks/roll-back", { to: it.revision, revision: table.revision, ...(said ? { why: said } : {}) });
    version = undefined;
    await Promise.all([fromFile(), past()]);
    tell(t("back.done"));
  } catch (trouble) {
    if (trouble.status === 409) { await read(follow); void check(); tell(t("back.late"), true); } else sorry(trouble);
  }
}
const by = (v) => (v.who === "the file" ? t("by-file") : v.who);
function history() {
  if (!versions) return nothing;
  if (!versions.length) return html`<p class="hint">${t("history.empty")}</p>`;
  return html`<ul class="cards">${versions.map((v, n) => html`<li><p>${time(v.at)} <b>${by(v)}</b>${v.now ? html` ${dot("green", t("history.now"))}` : nothing}</p>${v.why ? html`<p>${v.why}</p>` : nothing}<p class="ink3"><code>${v.revision}</code></p>
    ${v.now ? nothing : html`<button type="button" aria-expanded=${String(version?.revision === v.revision && version.n === n)} @click=${() => (version?.revision === v.revision ? (version = undefined, draw()) : look(v.revision).then(() => { version.n = n; draw(); }))}>${t("history.look")}</button>`}
    ${version?.revision === v.revision && version.n === n ? html`${diff(version.diff)}${may("change") ? html`<button type="button" class="strong" ?disabled=${unsaved() > 0} @click=${back}>${t("back")}</button>${unsaved() ? html`<p class="hint">${t("back.first")}</p>` : nothing}` : nothing}` : nothing}</li>`)}</ul>`;
}
function unmapped() {
  const list = table?.unmapped ?? [];
  if (!list.length) return html`<p class="hint">${t("unmapped.empty")}</p>`;
  const has = (one) => rows.some((r) => r.cells.dialled?.trim() === one.dialled);
  return html`<p class="hint">${t("unmapped.hint")}</p><ul class="cards">${list.map((one) => html`<li><p><b class="number">${one.dialled}</b> <span class="digits">${t("unmapped.calls", { n: count(one.calls) })}</span></p><p class="ink3">${[one.switch, one.trunk].filter(Boolean).join(" · ")} · ${ago(one.last)}</p>
    ${may("change") ? has(one) ? html`<p>${dot("violet", t("unmapped.made"))}</p>` : html`<button type="button" @click=${() => add(place(rows), { dialled: one.dialled, title: "", ...(one.trunk ? { trunk: one.trunk } : {}) })}>${t("unmapped.make")}</button>` : nothing}</li>`)}</ul>`;
}
const sides = { try: trying, history, unmapped };
function side() {
  const now = sides[here().of.side] ? here().of.side : "try";
  if (now === "history" && !versions) { versions = []; void past(); }
  const names = [["try", t("try.title")], ["history", t("history")], ["unmapped", `${t("unmapped")}${table?.unmapped.length ? ` ${table.unmapped.length}` : ""}`]];
  return html`<aside id="panel-of" aria-label=${t("side")}><div class="sides" role="group" aria-label=${t("side")}>${names.map(([name, text]) => html`<button type="button" aria-pressed=${String(now === name)} @click=${() => turn({ side: name === "try" ? "" : name })}>${text}</button>`)}</div>${table ? sides[now]() : nothing}</aside>`;
}

export default {
  id: "trunks", right: "see", site: true, every: 10_000,
  wrong: (o) => o.unmapped,
  /** Read once; from then on edits are on top of it, and only what is not edited follows the file. */
  async load() {
    if (!table || (!unsaved() && !shared.dialog && !document.activeElement?.closest("table.map"))) {
      const before = table?.revision;
      await read(follow);
      if (table && table.revision !== before) void check();
    } else void check();
    void count7();
  },
  view: () => html`${head({ title: t("page.trunks"), line: table && t("trunks.line", { n: table.rows.length, revision: table.revision.slice(0, 8) }), acts: table ? acts() : nothing })}
    ${verdict.late ? html`<div class="behind" role="group" aria-label=${t("late")}><p>${icon("clock")} ${t("late")}</p><button type="button" class="strong" @click=${onTop}>${t("late.on-top")}</button><button type="button" @click=${fromFile}>${t("late.take")}</button></div>` : nothing}
    ${table?.problems.length ? html`<div class="behind bad"><p>${icon("warn")} ${t("trunks.broken")}</p>${table.problems.map((p) => html`<p class="fault red">${problem(p)}</p>`)}</div>` : nothing}
    ${verdict.others.map((p) => html`<p class="fault red">${icon("warn")} ${p.file ?? ""} ${fault(p)}</p>`)}
    ${table ? html`<div class="filters" role="search" aria-label=${t("filters")}><label class="filter"><span>${t("trunks.find")}</span><input type="search" .value=${here().of.find ?? ""} @input=${(e) => turn({ find: e.target.value })}></label></div>${rows.length || !may("change") ? grid() : html`<p class="nothing">${t("trunks.empty")}</p><button type="button" @click=${() => add(0)}>${icon("plus")} ${t("row.add")}</button>`}` : failed ? html`<p class="nothing red">${icon("warn")} ${refusal(failed)}</p>` : html`<div class="bars" aria-hidden="true"><i></i><i></i><i></i><i></i></div>`}`,
  panel: side,
};
