// Pages that only show: alerts, differences, the audit, settings in force.
import { query } from "./ask.js";
import { Kept, choice, diff, dot, field, head, html, nothing, pairs, panel, section, shared, shown, table, time } from "./parts.js";
import { here } from "./route.js";
import { count, own, t } from "./say.js";

const firing = new Kept(), unlike = new Kept(), deeds = new Kept(), inForce = new Kept(), changes = new Kept();

export const alerts = {
  id: "alerts", right: "see", site: true, every: 5000,
  wrong: (o) => o.alerts,
  load: () => firing.load("/v1/alerts"),
  view: () => html`${head({ title: t("page.alerts"), line: firing.data && (firing.data.length ? t("alerts.line", { n: firing.data.length }) : t("alerts.well")) })}
    ${shown(firing, (rows) => table({
      label: t("page.alerts"), rows, id: (r) => `${r.alert} ${r.subject}`, empty: t("alerts.empty"),
      columns: [[t("alert")], [t("alert.subject")], [t("state")]],
      cells: (r) => [html`${own(r.title, r.alert)} <span class="ink3">${own(r.title, undefined) ? r.alert : ""}</span>`, r.subject, dot("red", t("alert.fires"))],
    }))}`,
};

export const differences = {
  id: "differences", right: "see", site: false, every: 30_000,
  wrong: (o) => o.differences,
  load: () => unlike.load(`/v1/differences${query({ all: here().of.show === "all" || "" })}`),
  view: () => html`${head({ title: t("page.differences"), line: t("differences.line") })}
    <div class="filters" role="search" aria-label=${t("filters")}>${choice("show", t("show"), [["", t("differences.open")], ["all", t("all")]])}</div>
    ${shown(unlike, (rows) => table({
      label: t("page.differences"), rows, id: (r) => r.id, empty: t("differences.empty"),
      columns: [[t("time")], [t("difference.kind")], [t("difference.where")], [t("difference.what"), "wide"], [t("state")]],
      cells: (r) => [time(r.at), t(`difference.${r.kind}`, {}, r.kind), r.system ?? r.switch ?? "—", r.what, dot(r.state === "open" ? "red" : r.state === "wanted" ? "amber" : "grey", t(`difference.is.${r.state}`, {}, r.state))],
    }))}`,
  panel() {
    const it = unlike.data?.find((r) => r.id === here().of.row);
    return it && panel(t(`difference.${it.kind}`, {}, it.kind), html`<p>${it.what}</p>
      ${pairs([[t("time"), time(it.at)], [t("switch"), it.switch], [t("system"), it.system], [t("call"), it.call && html`<a href=${`#/records?row=${it.call}`}>${it.call}</a>`], [t("effect.key"), it.effect && html`<a href=${`#/undelivered?row=${encodeURIComponent(it.effect)}`}>${it.effect}</a>`], [t("difference.seen"), time(it.seen_at)]])}
      <p class="hint">${t("differences.hint", { id: it.id })}</p>`);
  },
};

const key = (r) => `${r.at} ${r.what} ${r.about}`;
const chosen = () => deeds.data?.find((r) => key(r) === here().of.row);
const changed = (it) => ["trunks.applied", "trunks.rolled-back"].includes(it.what) && !shared.session.tenant;
/** What a deed was about, with the way there. */
function about(it) {
  const [kind] = it.what.split("."), page = { outbox: "undelivered", canary: "connectors", connector: "connectors", flow: "flows" }[kind];
  const code = html`<code>${it.about}</code>`;
  return page ? html`<a href=${`#/${page}?row=${encodeURIComponent(it.about)}`}>${code}</a>` : code;
}
/** Rows of trunks.yaml, before and after. */
function before(all) {
  const name = (row) => (row.row === null ? t("change.gone", { n: row.was }) : row.was === null ? t("change.new", { n: row.row }) : row.was === row.row ? t("change.row", { n: row.row }) : t("change.moved", { n: row.row, was: row.was }));
  return html`${section(t("change.title"), all.rows.length ? html`<ul class="cards">${all.rows.map((row) => html`<li><p><b>${name(row)}</b></p>${row.cells.length ? html`<table class="small"><thead><tr><th scope="col">${t("change.column")}</th><th scope="col">${t("change.before")}</th><th scope="col">${t("change.after")}</th></tr></thead><tbody>${row.cells.map((cell) => html`<tr><th scope="row">${t(`column.${cell.column}`, {}, cell.column)}</th><td class="was">${cell.before ?? "—"}</td><td class="is">${cell.after ?? "—"}</td></tr>`)}</tbody></table>` : nothing}</li>`)}</ul>` : html`<p class="hint">${t("change.none")}</p>`)}
    <details><summary>${t("change.file")}</summary>${diff(all.diff)}</details>`;
}
export const audit = {
  id: "audit", right: "audit", site: false, every: 0,
  wrong: () => 0,
  async load() {
    const { who, what, about } = here().of;
    await deeds.load(`/v1/audit${query({ who, what, about })}`);
    const it = chosen();
    if (it && changed(it)) await changes.load(`/v1/trunks/changes/${encodeURIComponent(it.about)}${query({ at: it.at })}`);
  },
  view: () => html`${head({ title: t("page.audit"), line: t("audit.line") })}
    <div class="filters" role="search" aria-label=${t("filters")}>${field("who", t("audit.who"))}${field("what", t("audit.what"))}${field("about", t("audit.about"))}</div>
    ${shown(deeds, (rows) => table({
      label: t("page.audit"), rows, id: key, empty: t("audit.empty"),
      columns: [[t("time")], [t("audit.who")], [t("audit.what")], [t("audit.about")], [t("audit.reason"), "wide"]],
      cells: (r) => [time(r.at), r.who, r.what, html`<code>${r.about}</code>`, r.reason ?? "—"],
    }))}`,
  panel() {
    const it = chosen();
    return it && panel(it.what, html`${pairs([[t("time"), time(it.at)], [t("audit.who"), it.who], [t("audit.about"), about(it)], [t("audit.reason"), it.reason], [t("tenant"), it.tenant]])}
      ${changed(it) ? shown(changes, before) : nothing}`);
  },
};

export const settings = {
  id: "settings", right: "audit", site: true, every: 0,
  wrong: () => 0,
  load: () => inForce.load("/v1/settings"),
  view() {
    const { find = "", from = "" } = here().of;
    const like = (r) => (!from || (from === "set" ? r.from !== "default" : r.from === from)) && `${r.key} ${r.value}`.toLowerCase().includes(find.toLowerCase());
    return html`${head({ title: t("page.settings"), line: inForce.data && t("settings.line", { n: count(inForce.data.filter((r) => r.from !== "default").length), of: count(inForce.data.length) }) })}
      <div class="filters" role="search" aria-label=${t("filters")}>${field("find", t("settings.find"))}${choice("from", t("settings.from"), [["", t("all")], ["set", t("settings.set")], ["environment", t("from.environment")], ["linecard.yaml", "linecard.yaml"], ["default", t("from.default")]])}</div>
      ${shown(inForce, (all) => table({
        label: t("page.settings"), rows: all.filter(like), id: (r) => r.key, empty: t("settings.empty"),
        columns: [[t("settings.key")], [t("settings.value"), "wide"], [t("settings.from")]],
        cells: (r) => [html`<code>${r.key}</code>`, html`<code>${r.value === '""' || r.value === "" ? "—" : r.value}</code>`, r.from === "default" ? html`<span class="ink3">${t("from.default")}</span>` : html`<b>${t(`from.${r.from}`, {}, r.from)}</b>`],
      }))}`;
  },
  panel() {
    const it = inForce.data?.find((r) => r.key === here().of.row);
    return it && panel(it.key, html`${pairs([[t("settings.value"), html`<code>${it.value}</code>`], [t("settings.from"), t(`from.${it.from}`, {}, it.from)]])}<p class="hint">${t("settings.hint")}</p>`);
  },
};
