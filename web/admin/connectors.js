// Business systems: figures of five minutes, limits, breakers, versions, the last failing requests; a canary is stopped here and goes on.
import "./chart.js";
import { ask } from "./ask.js";
import { Kept, doing, dot, draw, head, html, icon, may, nothing, pairs, panel, section, shown, table, time, why } from "./parts.js";
import { here } from "./route.js";
import { count, percent, t, took } from "./say.js";
import { counts, differences, trial as trying } from "./tried.js";

const systems = new Kept(), hour = new Kept(), evidence = new Kept(), compared = new Kept();

/** Of all operations: the slowest p95, and what part of callers was found. */
const figures = (one) => {
  const all = Object.values(one.standing.operations), callers = one.standing.operations["customer.by_phone"];
  return { p95: all.length ? Math.max(...all.map((o) => o.p95_ms ?? 0)) : undefined, found: callers?.answered ? percent(callers.matched, callers.answered) : "—" };
};
/** A system's last hour, a point a minute; each point is of five minutes. */
const points = (id) => hour.data?.find((one) => one.id === id)?.points ?? [];
const part = (some, of) => (of ? some / of : null);
const success = (p) => part(p.asked - p.failed, p.asked), found = (p) => part(p.found, p.callers), slow = (p) => p.p95_ms;
/** The hour of a figure, beside its number: it says nothing that the panel's curve does not say in words. */
function spark(id, of, most) {
  const all = points(id).map(of), top = most ?? Math.max(1, ...all.filter((v) => v !== null));
  let line = "", pen = "M";
  for (const [n, v] of all.entries()) {
    if (v === null) { pen = "M"; continue; }
    line += `${pen}${60 - all.length + n} ${(15 - v / top * 14).toFixed(1)}`;
    pen = pen === "M" ? "h0.01L" : "L";
  }
  return line ? html`<svg class="spark" viewBox="0 0 60 16" aria-hidden="true"><path d=${line}></path></svg>` : nothing;
}
function lately(one) {
  const own = points(one.id);
  if (!own.some((p) => p.asked)) return nothing;
  const other = beside(one)?.of, theirs = points(other), at = [...new Set([...own, ...theirs].map((p) => p.at))].sort();
  const over = (all, of) => at.map((moment) => { const p = all.find((one) => one.at === moment); return p ? of(p) ?? null : null; });
  const series = [{ label: `p50 ${one.id}`, colour: "blue", dash: [2, 3], values: over(own, (p) => p.p50_ms) }, { label: `p95 ${one.id}`, colour: "blue", values: over(own, slow) }, ...(other ? [{ label: `p95 ${other}`, colour: "violet", dash: [8, 4], values: over(theirs, slow) }] : [])];
  const clock = (iso) => new Date(iso).toTimeString().slice(0, 5), tenth = own.filter((_, n) => (own.length - 1 - n) % 10 === 0);
  return section(t("system.hour"), html`<figure><figcaption class="hint">${t("system.hour.text")}</figcaption><linecard-chart .of=${{ labels: at.map(clock), x: t("time"), kind: "steps", log: true, series, show: (v) => `${v} ms` }}></linecard-chart></figure>
    <table class="small"><thead><tr><th scope="col">${t("time")}</th><th scope="col" class="digits">${t("system.asked")}</th><th scope="col" class="digits">${t("system.success")}</th><th scope="col" class="digits">${t("system.p95")}</th><th scope="col" class="digits">${t("system.found")}</th></tr></thead>
      <tbody>${tenth.map((p) => html`<tr><th scope="row">${clock(p.at)}</th><td class="digits">${count(p.asked)}</td><td class="digits">${percent(p.asked - p.failed, p.asked)}</td><td class="digits">${took(p.p95_ms)}</td><td class="digits">${percent(p.found, p.callers)}</td></tr>`)}</tbody></table>`);
}
const beside = (one) => one.standing.beside;
function stands(one) {
  if (beside(one)?.stopped) return dot("amber", t("system.stopped"));
  if (one.bad) return dot("red", t("system.bad"));
  return one.asked ? dot("green", t("system.well")) : dot("grey", t("system.quiet"));
}
const kind = (one) => (beside(one) ? t(`system.${beside(one).kind}`, { of: beside(one).of, calls: beside(one).calls }) : "");

async function stop(one) {
  const said = await why({ title: t("canary.stop.title", { id: one.id }), text: t("canary.stop.text", { of: beside(one).of }), act: t("canary.stop") });
  if (said) await doing(async () => (await ask(`/v1/canaries/${encodeURIComponent(one.id)}/stop`, { why: said })) && t("canary.stop.done", { id: one.id }), later);
}
const resume = (one) => doing(async () => (await ask(`/v1/canaries/${encodeURIComponent(one.id)}/resume`, {})) && t("canary.resume.done", { id: one.id }), later);
/** The daemon hears it within two seconds. */
async function later() {
  draw();
  for (let n = 0; n < 6; n++) {
    await new Promise((go) => setTimeout(go, 500));
    await systems.load("/v1/connectors");
  }
}

/** Two files of one system, side by side. */
function both(one) {
  const other = systems.data.find((s) => s.id === beside(one).of);
  if (!other) return nothing;
  const row = (name, of) => html`<tr><th scope="row">${name}</th><td class="digits">${of(one)}</td><td class="digits">${of(other)}</td></tr>`;
  return html`<table class="small"><thead><tr><td></td><th scope="col" class="digits">${one.id}</th><th scope="col" class="digits">${other.id}</th></tr></thead><tbody>
    ${row(t("system.asked"), (s) => count(s.asked))}${row(t("system.success"), (s) => percent(s.asked - s.failed, s.asked))}${row(t("system.p95"), (s) => took(figures(s).p95))}${row(t("system.found"), (s) => figures(s).found)}</tbody></table>`;
}
function trial(one) {
  const b = beside(one);
  if (!b) return nothing;
  const canary = b.kind === "canary";
  return section(kind(one), html`
    ${b.stopped ? html`<p class="amber">${icon("clock")} ${t("canary.stopped", { why: b.stopped.reason })} ${time(b.stopped.at)}</p>` : nothing}
    ${pairs(canary ? [[t("canary.asked"), `${count(b.asked_of_it ?? 0)} / ${count(b.asked_of_the_other ?? 0)}`]] : [[t("shadow.compared"), b.compared], [t("shadow.differing"), b.compared ? percent(b.differing_percent, 100) : undefined]])}
    ${both(one)}
    ${canary && may("change") ? html`<div class="acts-of">${b.stopped ? html`<button type="button" @click=${() => resume(one)}>${t("canary.resume")}</button>` : html`<button type="button" class="danger" @click=${() => stop(one)}>${t("canary.stop")}</button>`}</div>` : nothing}
    ${canary || looked !== one.id ? nothing : html`${counts(compared.data)}${differences(compared.data)}<p class="hint">${t("shadow.hint", { id: one.id })}</p>`}`);
}
function operations(one) {
  const all = Object.entries(one.standing.operations);
  if (!all.length) return html`<p class="hint">${t("system.unasked")}</p>`;
  return html`<table class="small"><thead><tr><th scope="col">${t("system.operation")}</th><th scope="col" class="digits">${t("system.asked")}</th><th scope="col" class="digits">${t("system.failed")}</th><th scope="col" class="digits">${t("system.p50")}</th><th scope="col" class="digits">${t("system.p95")}</th></tr></thead>
    <tbody>${all.map(([name, o]) => html`<tr><th scope="row">${name}</th><td class="digits">${count(o.asked)}</td><td class=${`digits ${o.failed ? "red" : ""}`}>${count(o.failed)}</td><td class="digits">${o.p50_ms ?? "—"}</td><td class="digits">${o.p95_ms ?? "—"}</td></tr>`)}</tbody></table>`;
}
const breaker = (b) => html`<p>${b.state === "closed" ? dot("green", t("breaker.closed")) : dot("red", t(`breaker.${b.state}`, {}, b.state))} ${b.operation ?? ""} ${b.why ?? ""} ${b.until ? html`${t("breaker.until")} ${time(b.until)}` : nothing}</p>`;
const limit = (l) => [`${l.operation ?? t("limit.all")}`, `${count(l.used)} / ${count(l.of)}${l.per_s ? ` ${t("limit.per", { s: l.per_s })}` : ""}`];

function failures(one) {
  if (!evidence.data) return nothing;
  const all = evidence.data.failures;
  return section(t("evidence"), all.length ? html`<ul class="cards">${all.slice(0, 20).map((f) => html`<li><p><b>${f.operation}</b> ${f.step} <span class="red">${f.outcome}</span> ${time(f.at)}</p><p class="code">${f.method} ${f.path}${f.query?.length ? `?${f.query.join("&")}` : ""}</p><p>${f.status ? `HTTP ${f.status}` : t("evidence.none")} · ${took(f.took_ms)}${f.reason ? ` · ${f.reason}` : ""}</p>${f.body ? html`<details><summary>${t("evidence.body")}</summary><pre>${JSON.stringify(f.body, null, 1)}</pre></details>` : nothing}</li>`)}</ul>` : html`<p class="hint">${t("evidence.empty")}</p>`);
}

let looked;
export default {
  id: "connectors", right: "see", site: true, every: 5000,
  wrong: (o) => o.systems_bad,
  async load() {
    const { row } = here().of;
    const of = row && `/v1/connectors/${encodeURIComponent(row)}`;
    await Promise.all([systems.load("/v1/connectors"), hour.load("/v1/connectors/hour"), of ? evidence.load(`${of}/evidence`) : undefined]);
    if (of && systems.data?.find((one) => one.id === row)?.standing.beside?.kind === "shadow") await compared.load(`${of}/comparison`);
    looked = row;
  },
  view: () => html`${head({ title: t("page.connectors"), line: systems.data && (systems.data.some((s) => s.bad) ? t("systems.bad", { n: systems.data.filter((s) => s.bad).length, of: systems.data.length }) : t("systems.well", { n: systems.data.length })) })}
    ${shown(systems, (all) => {
      // What no system has takes no room.
      const told = all.some((s) => s.standing.version.told), sides = all.some(beside);
      return table({
        label: t("page.connectors"), rows: all, id: (s) => s.id, empty: t("systems.empty"),
        columns: [[t("system")], [t("state")], [t("system.asked"), "digits"], [t("system.success"), "digits"], [t("system.p95"), "digits"], [t("system.found"), "digits"], ...(told ? [[t("system.version")]] : []), ...(sides ? [[t("system.beside")]] : [])],
        cells: (s) => [html`${s.title ?? s.id} <span class="ink3">${s.id}</span>`, html`${stands(s)}${s.bad ? html`<span class="ink3 cut">${s.bad}</span>` : nothing}`, count(s.asked), percent(s.asked - s.failed, s.asked), took(figures(s).p95), figures(s).found, ...(told ? [s.standing.version.told ?? "—"] : []), ...(sides ? [kind(s)] : [])],
      });
    })}`,
  panel() {
    const { row } = here().of, one = systems.data?.find((s) => s.id === row);
    if (!one) return undefined;
    const { version: v, limits, breakers, certificate_ends, clock_apart_ms } = one.standing;
    return panel(one.title ? `${one.title} · ${one.id}` : one.id, html`${stands(one)}${one.bad ? html`<p>${one.bad}</p>` : nothing}
      ${trial(one)}
      ${lately(one)}
      ${section(t("system.five"), operations(one))}
      ${section(t("breakers"), breakers.map(breaker))}
      ${limits.length ? section(t("limits"), pairs(limits.map(limit))) : nothing}
      ${section(t("system.about"), pairs([[t("system.version"), v.told], [t("system.answers"), v.answers_by], [t("system.drift"), v.drift], [t("system.trouble"), v.trouble], ...v.ends.map((e) => [e.operation, e.sunset ? t("system.ends", { at: new Date(e.sunset).toLocaleDateString() }) : t("system.deprecated")]), [t("system.certificate"), certificate_ends && time(certificate_ends)], [t("system.clock"), clock_apart_ms === null ? undefined : took(clock_apart_ms)]]))}
      ${looked === row ? failures(one) : nothing}
      ${may("change") ? trying(one) : nothing}`);
  },
};
