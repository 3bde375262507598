// Links to switches: how each stands and what came over it.
import { ask } from "./ask.js";
import { Kept, ago, doing, dot, draw, head, html, may, nothing, pairs, panel, section, shared, shown, table, time } from "./parts.js";
import { here } from "./route.js";
import { count, t, took } from "./say.js";

const links = new Kept();
const id = (link) => `${link.switch} ${link.feed}`;
const stands = (link) => (link.up ? dot("green", t("link.up")) : dot("red", t("link.down")));

/** What came of probing each, and which is being probed. @type {Map<string, {answers: boolean, took_ms: number, said: string[]}>} */
const probed = new Map();
let probing = "";
async function probe(link) {
  probing = id(link);
  draw();
  await doing(async () => {
    probed.set(id(link), await ask(`/v1/links/${encodeURIComponent(link.switch)}/${link.feed}/probe`, {}));
    // Said once, in the panel and to who listens.
    const region = document.getElementById("status");
    if (region) region.textContent = verdict(link);
  });
  probing = "";
  draw();
}
const verdict = (link) => { const it = probed.get(id(link)); return it ? t(it.answers ? "link.probe.yes" : "link.probe.no", { took: took(it.took_ms) }) : ""; };
/** Asked by hand whether it answers; what cannot be asked says so. */
function hand(link) {
  if (!link.asks) return section(t("link.probe.title"), html`<p class="hint">${t("link.probe.none")}</p>`);
  const it = probed.get(id(link));
  return section(t("link.probe.title"), html`
    ${may("change") ? html`<button type="button" ?disabled=${probing !== ""} @click=${() => probe(link)}>${t(probing === id(link) ? "link.probing" : "link.probe")}</button>` : nothing}
    ${it ? html`<div class="probed">${dot(it.answers ? "green" : "red", verdict(link))}${it.said.map((line) => html`<p>${line}</p>`)}</div>` : nothing}
    <p class="hint">${t("link.probe.hint")}</p>`);
}

/** Why it is away, or was. */
const because = (link) => t(`because.${link.because}`, link.values, link.reason);

export default {
  id: "links", right: "see", site: true, every: 5000,
  wrong: (o) => o.links - o.links_up,
  load: () => links.load("/v1/links"),
  view: () => html`${head({ title: t("page.links"), line: links.data && [t("links.line", { up: links.data.filter((l) => l.up).length, n: links.data.length }), ...(shared.overview?.waiting_for ?? []).map((s) => t("links.waiting", { s }))].join(" · ") })}
    ${shown(links, (all) => table({
      label: t("page.links"), rows: all, id, empty: t("links.empty"),
      columns: [[t("link.switch")], [t("link.feed")], [t("state")], [t("link.since")], [t("link.heard")], [t("link.events"), "digits"], [t("link.resyncs"), "digits"]],
      cells: (l) => [l.switch, l.feed.toUpperCase(), stands(l), time(l.since), ago(l.heard_at), count(l.events), count(l.resyncs)],
    }))}`,
  panel() {
    const link = links.data?.find((one) => id(one) === here().of.row);
    return link && panel(`${link.switch} · ${link.feed.toUpperCase()}`, html`${stands(link)}
      ${link.up ? "" : html`<p>${because(link)}</p>`}
      ${pairs([[t("link.since"), time(link.since)], [t("link.heard"), time(link.heard_at)], [t("link.version"), link.version], [t("link.reason"), link.up ? because(link) : undefined]])}
      ${pairs([[t("link.events"), count(link.events)], [t("link.connects"), count(link.connects)], [t("link.resyncs"), count(link.resyncs)], [t("link.dropped"), count(link.dropped)], [t("link.refused"), count(link.refused)], [t("link.unknown"), count(link.unknown)], [t("link.unregistered"), count(link.unregistered)]])}
      <p class="hint">${t("link.hint")}</p>
      ${hand(link)}`);
  },
};
