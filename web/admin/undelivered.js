// What was not delivered: tried again or given up, one or several at once.
import { ask, query } from "./ask.js";
import { Kept, ago, choice, counted, doing, draw, head, html, may, nothing, pairs, panel, section, shared, shown, state, table, time, tree, why } from "./parts.js";
import { here } from "./route.js";
import { age, count, t } from "./say.js";

const list = new Kept(), one = new Kept();
/** @type {Set<string>} What is ticked. */
let ticked = new Set();
const own = (key) => encodeURIComponent(key);
export const open = ["waiting", "claimed", "later", "person", "dead"];

export const retry = (keys, after) => doing(async () => counted("retry", await ask("/v1/undelivered/retry", { keys })), after);
export async function drop(keys, after) {
  const said = await why({ title: t("drop.title", { n: keys.length }), text: t("drop.text"), act: t("drop") });
  if (said) await doing(async () => counted("drop", await ask("/v1/undelivered/drop", { keys, why: said })), after);
}
async function again() { ticked = new Set(); await page.load(); }

const tick = {
  get all() {
    const keys = (list.data ?? []).map((row) => row.key), all = keys.length > 0 && keys.every((key) => ticked.has(key));
    return html`<input type="checkbox" aria-label=${t("tick.all")} .checked=${all} @change=${() => { ticked = new Set(all ? [] : keys.slice(0, 500)); draw(); }}>`;
  },
  one: (row) => html`<input type="checkbox" aria-label=${t("tick.one", { what: `${row.step} ${row.system}` })} .checked=${ticked.has(row.key)} @change=${(e) => { ticked[e.target.checked ? "add" : "delete"](row.key); draw(); }}>`,
};

/** What it is, with what was sent and answered, and what can be done about it. */
export function effect(row, after) {
  return html`<p>${state(row.state)}</p>${row.reason ? html`<p>${row.reason}</p>` : nothing}${row.unsure ? html`<p class="hint">${t("effect.unsure")}</p>` : nothing}
    ${may("work") && open.includes(row.state) ? html`<div class="acts-of"><button type="button" class="strong" @click=${() => retry([row.key], after)}>${t("retry")}</button><button type="button" class="danger" @click=${() => drop([row.key], after)}>${t("drop")}</button></div>` : nothing}
    ${pairs([[t("effect.tries"), row.attempts], [t("effect.next"), row.state === "later" || row.state === "waiting" ? time(row.due_at) : undefined], [t("effect.born"), time(row.born_at)], [t("effect.last"), time(row.updated_at)]])}`;
}

const page = {
  id: "undelivered", right: "see", site: false, every: 5000,
  wrong: (o) => o.given_up,
  async load() {
    const { state, system, row } = here().of;
    const tasks = [list.load(`/v1/undelivered${query({ state, system })}`)];
    if (row) tasks.push(one.load(`/v1/undelivered/${own(row)}`));
    await Promise.all(tasks);
    const there = new Set((list.data ?? []).map((r) => r.key));
    ticked = new Set([...ticked].filter((key) => there.has(key)));
  },
  view() {
    const o = shared.overview, keys = [...ticked];
    const line = o && (o.given_up + o.under_way === 0 ? t("undelivered.none") : [t("undelivered.line", { bad: count(o.given_up), n: count(o.under_way) }), o.oldest_due && t("undelivered.oldest", { age: age(o.oldest_due) })].filter(Boolean).join(" · "));
    const systems = [...new Set([...(list.data ?? []).map((r) => r.system), here().of.system].filter(Boolean))].sort();
    return html`${head({ title: t("page.undelivered"), line, acts: may("work") && keys.length ? html`<span class="ink2">${t("ticked", { n: keys.length })}</span><button type="button" class="strong" @click=${() => retry(keys, again)}>${t("retry")}</button><button type="button" class="danger" @click=${() => drop(keys, again)}>${t("drop")}</button>` : nothing })}
      <div class="filters" role="search" aria-label=${t("filters")}>${choice("state", t("state"), [["", t("undelivered.open")], ...["dead", "person", "later", "waiting", "claimed", "done", "dropped", "withdrawn"].map((s) => [s, t(`state.${s}`)])])}${choice("system", t("system"), [["", t("all")], ...systems.map((s) => [s, s])])}</div>
      ${shown(list, (rows) => table({
        label: t("page.undelivered"), rows, id: (r) => r.key, empty: t("undelivered.empty"), tick: may("work") ? tick : undefined,
        columns: [[t("effect.what")], [t("system")], [t("state")], [t("effect.tries"), "digits"], [t("effect.born")], [t("effect.answer"), "wide"]],
        cells: (r) => [html`${r.step} <span class="ink3">${r.operation}</span>`, r.system, state(r.state), r.attempts, ago(r.born_at), html`<span class="cut">${r.reason ?? "—"}</span>`],
      }))}`;
  },
  panel() {
    const { row } = here().of, it = one.data;
    if (!row || it?.key !== row) return undefined;
    return panel(`${it.step} · ${it.system}`, html`${effect(it, () => page.load())}
      ${pairs([[t("effect.operation"), it.operation], [t("call"), html`<a href=${`#/records?row=${it.call}`}>${it.call}</a>`], [t("effect.key"), html`<code>${it.key}</code>`], [t("effect.amends"), it.amends]])}
      ${section(t("effect.request"), tree(it.inputs))}${section(t("effect.response"), tree(it.result))}<p class="hint">${t("masked")}</p>`);
  },
};
export default page;
