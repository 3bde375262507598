// What the calls of a time come to. Each figure stands beside its definition, the number of its cases and, where it is a share, a mean or a median, where the true value lies.
import "./chart.js";
import { query } from "./ask.js";
import { Kept, choice, draw, field, head, html, icon, nothing, pairs, panel, section, shown, table } from "./parts.js";
import { here } from "./route.js";
import { count, lasted, own, t } from "./say.js";

const asked = new Kept(), curve = new Kept();
/** Times to choose: the first day, the day behind the last. */
const spans = { "": ["today", "today+1"], yesterday: ["today-1", "today"], week: ["today-6", "today+1"], month: ["today-29", "today+1"] };
const groups = ["queue", "agent", "team", "line", "day", "hour"];
/** What a row of a group shows; all of it is in its panel. */
const chief = ["calls", "service_level", "abandonment", "wait", "aht", "fcr_contact", "csat"];
let asTable = false;

function time() {
  const { span = "", from, until } = here().of;
  return span === "own" ? { from: from || "today", to: until ? after(until) : undefined } : { from: spans[span]?.[0] ?? "today", to: spans[span]?.[1] ?? "today+1" };
}
/** Who chooses a last day means to have it in. */
const after = (day) => { const at = new Date(`${day}T00:00:00Z`); at.setUTCDate(at.getUTCDate() + 1); return at.toISOString().slice(0, 10); };
const question = () => { const { by, queue, against } = here().of; return { ...time(), by, queue, against }; };

const digits = (n, places) => new Intl.NumberFormat(document.documentElement.lang, { minimumFractionDigits: places, maximumFractionDigits: places }).format(n);
const units = {
  share: (v) => `${digits(v * 100, 1)} %`, milliseconds: (v) => lasted(Math.round(v)), points: (v) => digits(v, 1), "per-call": (v) => digits(v, 2), "per-thousand": (v) => digits(v, 2), count: (v) => count(v),
};
const value = (unit, v) => (v === undefined || v === null ? "—" : units[unit](v));
const signed = (unit, v) => `${v < 0 ? "−" : v > 0 ? "+" : "±"}${unit === "share" ? t("kpi.points", { n: digits(Math.abs(v) * 100, 1) }) : value(unit, Math.abs(v))}`;
const between = (unit, i) => (i ? html`<span class="ink3">${t("kpi.between", { low: value(unit, i.low), high: value(unit, i.high) })}</span>` : "—");
const meant = (id) => asked.data.definitions.find((d) => d.figure === id);
const name = (id) => own(meant(id)?.title, id);
const figureOf = (figures, id) => figures.find((f) => f.figure === id);

/** Both times on one scale: each a dot with its interval. */
function dots({ before: b, after: a }) {
  if (b.value === undefined || a.value === undefined) return "—";
  const ends = [b, a].flatMap((f) => [f.value, f.interval?.low ?? f.value, f.interval?.high ?? f.value]);
  const low = Math.min(0, ...ends), high = a.unit === "share" ? 1 : Math.max(...ends, low + 1e-9), at = (v) => 4 + (v - low) / (high - low) * 112;
  const x = (f, end) => at(f.interval?.[end] ?? f.value);
  return html`<svg class="pair-of" viewBox="0 0 120 20" width="120" height="20" aria-hidden="true"><line class="ground" x1="4" x2="116" y1="10" y2="10"></line>
    <line class="was" x1=${x(b, "low")} x2=${x(b, "high")} y1="5" y2="5"></line><circle class="was" cx=${at(b.value)} cy="5" r="3.5"></circle>
    <line class="now" x1=${x(a, "low")} x2=${x(a, "high")} y1="15" y2="15"></line><circle class="now" cx=${at(a.value)} cy="15" r="3.5"></circle></svg>`;
}
/** No colour: whether more is better, the figure's reader knows. */
const verdict = (c) => (c.verdict ? html`<span class="dot">${icon({ higher: "up", lower: "down" }[c.verdict] ?? "dash")}<span>${t(`kpi.${c.verdict}`)}</span></span>` : "—");

/** Occupancy is of time, all else of cases. */
const cases = (f) => (f.figure === "occupancy" ? lasted(f.n) : count(f.n));
const valued = (f) => html`<b>${value(f.unit, f.value)}</b> <span class="ink3">n ${cases(f)}</span>`;
const differs = (unit, { difference, interval }) => (difference === undefined ? "—" : html`${signed(unit, difference)}${interval ? html`<br><span class="ink3">${t("kpi.between", { low: signed(unit, interval.low), high: signed(unit, interval.high) })}</span>` : nothing}`);

function figures(answer) {
  const against = answer.compared ?? [];
  return table({
    label: t("page.kpis"), rows: answer.whole, id: (f) => f.figure, empty: t("kpi.empty"),
    columns: [[t("kpi.figure")], [t("kpi.means"), "wide"], [t("kpi.value"), "digits"], ...(against.length ? [[t("kpi.before"), "digits"], [t("kpi.both")], [t("kpi.difference"), "digits"], [t("kpi.verdict")]] : [[t("kpi.true")]])],
    cells: (f) => {
      const c = against.find((one) => one.figure === f.figure);
      return [name(f.figure), html`<span class="cut ink2">${own(meant(f.figure)?.text, "")}</span>`, valued(f), ...(c ? [valued(c.before), dots(c), differs(f.unit, c), verdict(c)] : against.length ? ["—", "—", "—", "—"] : [between(f.unit, f.interval)])];
    },
  });
}
const keyOf = (group) => asked.data.by.map((by) => group.key[by] ?? t("none")).join(" · ");
const grouped = (answer) => table({
  label: t("page.kpis"), rows: answer.groups, id: keyOf, empty: t("kpi.empty"),
  columns: [[t(`kpi.by.${answer.by[0]}`)], ...chief.map((id) => [name(id), "digits"])],
  cells: (g) => [keyOf(g), ...chief.map((id) => { const f = figureOf(g.figures, id); return f ? (id === "calls" ? count(f.n) : valued(f)) : "—"; })],
});

/** Every day of the time, also those without a call: what is not known is a gap. */
function days({ from, to }, zone) {
  const day = (iso) => new Intl.DateTimeFormat("en-CA", { timeZone: zone, year: "numeric", month: "2-digit", day: "2-digit" }).format(new Date(iso));
  const all = [], end = day(new Date(Date.parse(to) - 1));
  for (let at = day(from); at <= end && all.length < 3700; at = after(at)) all.push(at);
  return all;
}
function drawn(id, unit) {
  const told = curve.data;
  if (!told) return nothing;
  const by = told.by[0], places = by === "hour" ? Array.from({ length: 24 }, (_, h) => String(h).padStart(2, "0")) : days(told.span, told.zone);
  const found = places.map((place) => figureOf(told.groups.find((g) => g.key[by] === place)?.figures ?? [], id)), values = found.map((f) => f?.value ?? null);
  if (values.every((v) => v === null)) return nothing;
  const labels = by === "hour" ? places : places.map((day) => day.slice(5)), kind = unit === "count" ? "bars" : "steps";
  return section(t(`kpi.curve.${by}`), html`<figure><figcaption class="hint">${t("kpi.curve", { figure: name(id), zone: told.zone })}</figcaption>
    ${asTable ? html`<table class="small"><thead><tr><th scope="col">${t(`kpi.by.${by}`)}</th><th scope="col" class="digits">${t("kpi.value")}</th><th scope="col" class="digits">${t("kpi.cases")}</th></tr></thead>
      <tbody>${places.map((place, n) => (found[n] ? html`<tr><th scope="row">${place}</th><td class="digits">${value(unit, values[n])}</td><td class="digits">${cases(found[n])}</td></tr>` : nothing))}</tbody></table>`
      : html`<linecard-chart .of=${{ labels, kind, x: t(`kpi.by.${by}`), series: [{ label: name(id), colour: "blue", values }], show: (v) => value(unit, v) }}></linecard-chart>`}
    <button type="button" aria-pressed=${String(asTable)} @click=${() => { asTable = !asTable; draw(); }}>${t("kpi.as-table")}</button></figure>`);
}
/** `in_time`, and of calls `inbound.answered`. */
function part(name) {
  const [direction, outcome] = name.split(".");
  return outcome ? `${t(`direction.${direction}`, {}, direction)}, ${t(`outcome.${outcome}`, {}, outcome)}` : t(`kpi.part.${name}`, {}, name.replaceAll("_", " "));
}
function detail(f) {
  const p = f.percentiles;
  return html`${pairs([[t("kpi.value"), html`<b>${value(f.unit, f.value)}</b>`], [t("kpi.cases"), cases(f)], [t("kpi.true"), f.interval && between(f.unit, f.interval)],
    ...(p ? [[t("kpi.mean"), lasted(Math.round(p.mean))], [t("kpi.median"), lasted(p.median)], ["p90", lasted(p.p90)], [t("kpi.longest"), lasted(p.longest)]] : []),
    ...Object.entries(f.parts ?? {}).map(([name, n]) => [part(name), name.endsWith("_ms") ? lasted(n) : count(n)])])}`;
}

/** By what the curve is drawn: a day by its hours, more by days. */
const fine = () => { const { span = "", from, until } = here().of; return span === "" || span === "yesterday" || (span === "own" && (!until || until === from)) ? "hour" : "day"; };

export default {
  id: "kpis", right: "see", site: false, every: 60_000,
  wrong: () => 0,
  async load() {
    const { row, by } = here().of;
    await Promise.all([asked.load(`/v1/kpis${query(question())}`), row && !by ? curve.load(`/v1/kpis${query({ ...question(), against: "", by: fine() })}`) : undefined]);
  },
  view() {
    const { span, by, against } = here().of, a = asked.data, to = (format) => `/v1/kpis${format}${query(question())}`;
    const when = (s) => { const of = days(s, a.zone); return of.length > 1 ? `${of[0]} … ${of.at(-1)}` : of[0]; };
    return html`${head({
      title: t("page.kpis"), line: a && html`${when(a.span)}${a.before ? html` <span class="ink3">${t("kpi.against", { span: when(a.before) })}</span>` : nothing} <span class="ink3">${a.zone}</span>${a.unreadable ? html` <span class="red">${t("kpi.unreadable", { n: a.unreadable })}</span>` : nothing}${a.followed_one_in > 1 ? html` <span class="ink3">${t("kpi.followed", { n: a.followed_one_in })}</span>` : nothing}`,
      acts: html`<a class="button" href=${to(".csv")} download>CSV</a><a class="button" href=${to("")} target="_blank" rel="noopener">JSON</a>`,
    })}
    <div class="filters" role="search" aria-label=${t("filters")}>${choice("span", t("kpi.span"), [["", t("kpi.today")], ["yesterday", t("kpi.yesterday")], ["week", t("kpi.week")], ["month", t("kpi.month")], ["own", t("kpi.own")]])}
      ${span === "own" ? html`${field("from", t("kpi.from"), "date")}${field("until", t("kpi.until"), "date")}` : nothing}
      ${choice("against", t("kpi.compare"), [["", t("kpi.alone")], ["before", t("kpi.just-before")]])}
      ${choice("by", t("kpi.by"), [["", t("kpi.whole")], ...groups.map((one) => [one, t(`kpi.by.${one}`)])])}
      ${field("queue", t("queue"))}</div>
    ${shown(asked, (answer) => (by ? grouped(answer) : figures(answer)))}
    ${against && !by ? html`<p class="hint">${t("kpi.hint")}</p>` : nothing}`;
  },
  panel() {
    const { row, by } = here().of, a = asked.data;
    if (!row || !a) return undefined;
    if (!by) {
      const f = figureOf(a.whole, row);
      return f && panel(name(row), html`<p>${own(meant(row)?.text, "")}</p>${drawn(row, f.unit)}${detail(f)}`);
    }
    const group = a.groups.find((g) => keyOf(g) === row);
    return group && panel(row, group.figures.map((f) => section(name(f.figure), html`<p class="hint">${own(meant(f.figure)?.text, "")}</p>${detail(f)}`)));
  },
};
