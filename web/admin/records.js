// Calls that were written down: one dot with its word for each system, the way of the call as a timeline, and a fix for what is not written.
import { query } from "./ask.js";
import { Kept, choice, field, head, html, icon, nothing, pairs, panel, refusal, section, shown, state, table, time } from "./parts.js";
import { here } from "./route.js";
import { lasted, t, when } from "./say.js";
import { effect, open } from "./undelivered.js";

const list = new Kept(), one = new Kept();
const outcomes = ["answered", "abandoned", "unanswered", "voicemail", "busy", "rejected", "failed", "lost"];
// The number is masked in its middle, the name is only counted: the number tells more.
const customer = (r) => r.customer?.raw ?? r.customer?.e164 ?? r.customer?.name ?? t("withheld");
const agents = (r) => (r.agents ?? []).join(", ") || "—";
const word = (kind, of) => (of ? t(`${kind}.${of}`, {}, of) : "—");
const systems = (journal) => (journal.length ? html`<span class="dots">${journal.map((j) => html`<span>${state(j.state)} <span class="ink3">${j.system}</span></span>`)}</span>` : html`<span class="ink3">${t("records.nothing")}</span>`);

/** Each piece of the way, drawn to scale over the whole call. */
function way(record) {
  const all = (record.segments ?? []).filter((s) => s.from);
  if (!all.length) return html`<p class="hint">${t("segments.none")}</p>`;
  const ends = all.map((s) => Date.parse(s.to ?? record.ended_at ?? s.from)), begin = Math.min(...all.map((s) => Date.parse(s.from)));
  const length = Math.max(1, Math.max(...ends) - begin);
  return html`<ol class="way">${all.map((s, n) => {
    const from = (Date.parse(s.from) - begin) / length * 100, width = Math.max(1, (ends[n] - Date.parse(s.from)) / length * 100);
    return html`<li><div><b>${word("segment", s.kind)}</b> ${s.agent ?? s.queue ?? ""} <span class="ink3">${s.outcome ? word("ended", s.outcome) : ""}</span><span class="digits">${lasted(ends[n] - Date.parse(s.from))}</span></div>
      <svg class="scale" viewBox="0 0 100 6" preserveAspectRatio="none" aria-hidden="true"><rect class="ground" x="0" y="0" width="100" height="6"></rect><rect class=${s.kind} x=${from} y="0" width=${Math.min(width, 100 - from)} height="6"></rect></svg></li>`;
  })}</ol>`;
}

const page = {
  id: "records", right: "see", site: false, every: 10_000,
  wrong: () => 0,
  async load() {
    const { outcome, since, until, row } = here().of, iso = (text) => (text && !Number.isNaN(Date.parse(text)) ? new Date(text).toISOString() : "");
    const tasks = [list.load(`/v1/records${query({ outcome, since: iso(since), until: iso(until) })}`)];
    if (row) tasks.push(one.load(`/v1/records/${encodeURIComponent(row)}`));
    await Promise.all(tasks);
  },
  view: () => {
    const rows = list.data?.records ?? [], bad = rows.filter((r) => r.systems.some((s) => open.includes(s.state))).length;
    return html`${head({ title: t("page.records"), line: list.data && t(bad ? "records.bad" : "records.well", { bad, n: rows.length + (list.data.more ? "+" : "") }) })}
    <div class="filters" role="search" aria-label=${t("filters")}>${choice("outcome", t("outcome"), [["", t("all")], ...outcomes.map((o) => [o, word("outcome", o)])])}${field("since", t("since"), "datetime-local")}${field("until", t("until"), "datetime-local")}</div>
    ${shown(list, ({ records }) => table({
      label: t("page.records"), rows: records, id: (r) => r.call, empty: t("records.empty"),
      columns: [[t("time")], [t("customer")], [t("direction")], [t("agent")], [t("outcome")], [t("talk"), "digits"], [t("systems"), "wide"]],
      cells: ({ record: r, systems: journal }) => [when(r.started_at ?? r.ended_at), html`<span class="number">${customer(r)}</span>`, word("direction", r.direction), agents(r), word("outcome", r.outcome), lasted(r.talk_ms), systems(journal)],
    }))}
    ${list.data?.more ? html`<p class="hint">${t("more")}</p>` : nothing}`;
  },
  panel() {
    const { row } = here().of, it = one.data;
    if (row && one.failed) return panel(row, html`<p class="nothing red">${icon("warn")} ${refusal(one.failed)}</p>`);
    if (!row || it?.record?.call !== row) return undefined;
    const r = it.record, wrapup = r.wrapups?.at(-1);
    return panel(`${when(r.started_at ?? r.ended_at)} · ${customer(r)}`, html`
      ${pairs([[t("outcome"), word("outcome", r.outcome)], [t("direction"), word("direction", r.direction)], [t("agent"), agents(r)], [t("queue"), r.queue], [t("wait"), r.wait_ms === undefined ? undefined : lasted(r.wait_ms)], [t("talk"), lasted(r.talk_ms)], [t("hold"), r.hold_ms ? lasted(r.hold_ms) : undefined], [t("ended-by"), r.ended_by && word("by", r.ended_by)]])}
      ${section(t("segments"), way(r))}
      ${section(t("journal"), it.effects.length ? html`<ul class="cards">${it.effects.map((e) => html`<li><p><b>${e.system}</b> ${e.step} <span class="ink3">${e.operation}</span></p>${effect(e, () => page.load())}</li>`)}</ul>` : html`<p class="hint">${t("journal.empty")}</p>`)}
      ${section(t("record.about"), pairs([[t("call"), html`<code>${r.call}</code>`], [t("switch"), [r.switch, r.trunk].filter(Boolean).join(" · ")], [t("dialled"), r.dialled?.raw], [t("brand"), r.brand], [t("started"), time(r.started_at)], [t("answered"), r.answered_at && time(r.answered_at)], [t("ended-at"), r.ended_at && time(r.ended_at)], [t("disposition"), wrapup?.disposition?.join(" › ")], [t("notes"), wrapup?.notes], [t("revision"), r.revision]]))}
      <p class="hint">${t("masked")} ${t("explain", { call: r.call })}</p>`);
  },
};
export default page;
