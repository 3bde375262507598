// Agents with their phones and pages, and queues: how they stand now. What an admin asks here is why nothing popped; the row says it in a word, its panel in sentences.
import { query } from "./ask.js";
import { Kept, ago, choice, dot, field, head, html, icon, nothing, pairs, panel, section, shown, table, time } from "./parts.js";
import { here } from "./route.js";
import { count, percent, t } from "./say.js";

const people = new Kept(), line = new Kept(), place = new Kept();

const colours = { ready: "green", busy: "blue", "working-after-call": "violet", "not-ready": "grey", "logged-off": "grey" };
const condition = (of) => dot(colours[of.state] ?? "grey", html`${t(`is.${of.state}`, {}, of.state)}${of.reason ? html` <span class="ink3">${of.reason}</span>` : nothing}${of.overrun ? html` <span class="amber">${t("is.overrun")}</span>` : nothing}`);
/** What stands in the way of every pop, before what keeps queues' calls away. */
const hard = ["no-phone", "no-seat", "no-page", "switch-away", "unregistered", "unseen", "shared"];
const blocked = (one) => one.obstacles.some((o) => hard.includes(o.is));
const phoneColours = { "in-use": "blue", "switch-away": "red", unregistered: "red", unseen: "amber", good: "green", "not-told": "grey" };
const phone = (p) => dot(phoneColours[p.state], html`${p.device}${p.switch ? html` <span class="ink3">${p.switch}</span>` : nothing}`);
const screen = (one) => (one.page_active ? dot("green", one.pages > 1 ? t("page.open.more", { n: one.pages }) : t("page.open")) : dot("grey", t("page.none")));
const wide = (o) => t(`obstacle.${o.is}`, o);
const brief = (o) => t(`obstacle.${o.is}.brief`, o);
const link = (id) => `#/agents?row=${encodeURIComponent(id)}`;
const queueLink = (of) => `#/queues?row=${encodeURIComponent(of)}`;

function matches(one) {
  const { is = "" } = here().of;
  return !is || (is === "blocked" ? blocked(one) : one.state === is);
}
function talk(call) {
  const leg = t(`leg.${call.leg}`, {}, call.leg), number = call.number?.display || (call.number ? t("withheld") : "");
  return section(t("agent.call"), pairs([[t("state"), leg], [t("direction"), call.direction && t(`direction.${call.direction}`, {}, call.direction)], [t("column.title"), call.title], [t("queue"), call.queue], [t("customer"), number], [t("call"), call.call]]));
}

export const agents = {
  id: "agents", right: "see", site: false, every: 5000,
  wrong: () => 0,
  load: () => people.load(`/v1/agents${query({ find: here().of.find })}`),
  view: () => html`${head({ title: t("page.agents"), line: people.data && t("agents.line", { n: count(people.data.agents.length), pages: count(people.data.agents.filter((a) => a.page_active).length), blocked: count(people.data.agents.filter(blocked).length) }) })}
    <div class="filters" role="search" aria-label=${t("filters")}>${field("find", t("agents.find"))}${choice("is", t("state"), [["", t("all")], ["blocked", t("agents.blocked")], ...Object.keys(colours).map((is) => [is, t(`is.${is}`)])])}</div>
    ${shown(people, (all) => html`${all.strangers.length ? html`<div class="behind"><p>${icon("warn")} ${t("strangers")}</p><p>${all.strangers.map((s) => html`<code>${s.agent}</code> <span class="ink3">${s.tenant}</span> `)}</p></div>` : nothing}
      ${table({
        label: t("page.agents"), rows: all.agents.filter(matches), id: (a) => a.agent, empty: all.agents.length ? t("agents.none") : t("agents.empty"),
        columns: [[t("agent")], [t("state")], [t("agent.way"), "wide"], [t("agent.page")], [t("agent.phones")], [t("queues")], [t("link.since")]],
        cells: (a) => [html`${a.name ?? a.agent} <span class="ink3">${a.agent}</span>`, condition(a), a.obstacles.length ? html`<span class=${blocked(a) ? "" : "ink3"}>${a.obstacles.map(brief).join(" · ")}</span>` : "—", screen(a), a.phones.length ? html`<span class="dots">${a.phones.slice(0, 2).map(phone)}</span>` : "—", a.queues.map((q) => q.queue).join(", ") || "—", time(a.since)],
      })}${all.more ? html`<p class="hint">${t("agents.more")}</p>` : nothing}`)}`,
  panel() {
    const it = people.data?.agents.find((one) => one.agent === here().of.row);
    if (!it) return undefined;
    return panel(it.name ? `${it.name} · ${it.agent}` : it.agent, html`${condition(it)}
      ${section(t("agent.why"), it.obstacles.length ? html`<ul class="cards obstacles">${it.obstacles.map((o) => html`<li><p class=${hard.includes(o.is) ? "red" : ""}>${icon(hard.includes(o.is) ? "warn" : "dash")} ${brief(o)}</p><p>${wide(o)}</p></li>`)}</ul>` : html`<p>${dot("green", t("agent.why.nothing"))}</p><p class="hint">${t("agent.why.else")}</p>`)}
      ${pairs([[t("link.since"), it.since && time(it.since)], [t("agent.until"), it.until && time(it.until)], [t("agent.wrap-ups"), it.wrap_ups || undefined]])}
      ${it.call ? talk(it.call) : nothing}
      ${section(t("agent.page"), html`<p>${screen(it)}</p>${pairs([[t("link.since"), it.page_since && time(it.page_since)]])}`)}
      ${section(t("agent.phones"), it.phones.length ? html`<ul class="cards">${it.phones.map((p) => html`<li><p>${phone(p)}</p><p class="ink3">${t(`phone.${p.state}`)}${p.how === "file" ? "" : ` · ${t(`phone.how.${p.how}`)}`}</p></li>`)}</ul>` : html`<p class="hint">${t(it.takes_seat ? "obstacle.no-seat" : "obstacle.no-phone")}</p>`)}
      ${it.seen_at ? pairs([[t("agent.seen"), `${it.seen_at.device} · ${it.seen_at.switch}`]]) : nothing}
      ${section(t("queues"), it.queues.length ? html`<ul class="cards">${it.queues.map((q) => html`<li><p><a href=${queueLink(q.queue)}>${q.queue}</a> <span class="ink3">${q.switch}</span></p><p>${condition(q)} ${time(q.since)}</p></li>`)}</ul>` : html`<p class="hint">${t("agent.queues.none")}</p>`)}
      ${section(t("agent.file"), pairs([[t("agent.teams"), it.teams.join(", ")], [t("agent.roles"), it.roles.join(", ")], [t("agent.may-join"), it.may_join.join(", ")], [t("agent.seat"), it.takes_seat ? t("agent.seat.takes") : undefined], [t("tenant"), it.tenant]]))}`);
  },
};

const queueName = (q) => (q.queue ? html`${q.label ?? q.queue} ${q.label ? html`<span class="ink3">${q.queue}</span>` : nothing}` : t("queues.direct"));
const own = (q) => `${q.tenant} ${q.queue}`;
/** Of the address: the queue alone, or with its tenant. */
const chosen = () => { const { row } = here().of; return row && line.data?.find((q) => own(q) === row || q.queue === row); };
const level = (q) => percent(q.in_time, q.offered);

export const queues = {
  id: "queues", right: "see", site: false, every: 5000,
  wrong: () => 0,
  async load() {
    await line.load("/v1/queues");
    const it = chosen();
    if (it) await place.load(`/v1/queues${query({ queue: it.queue })}`);
  },
  view: () => html`${head({ title: t("page.queues"), line: line.data && t("queues.line", { n: count(line.data.length), waiting: count(line.data.reduce((n, q) => n + q.waiting, 0)) }) })}
    ${shown(line, (all) => table({
      label: t("page.queues"), rows: all, id: own, empty: t("queues.empty"),
      columns: [[t("queue")], [t("queue.waiting"), "digits"], [t("queue.longest")], [t("queue.members"), "digits"], [t("queue.ready"), "digits"], [t("queue.offered"), "digits"], [t("queue.answered"), "digits"], [t("queue.in-time"), "digits"], [t("queue.abandoned"), "digits"]],
      cells: (q) => [queueName(q), count(q.waiting), q.longest_since ? ago(q.longest_since) : "—", q.members ?? "—", q.ready ?? "—", count(q.offered), count(q.answered), q.offered ? level(q) : "—", count(q.abandoned)],
    }))}<p class="hint">${t("queues.hint")}</p>`,
  panel() {
    const it = chosen();
    if (!it) return undefined;
    const places = place.data?.find((q) => own(q) === own(it))?.places;
    return panel(it.label ? `${it.label} · ${it.queue}` : it.queue || t("queues.direct"), html`
      ${pairs([[t("queue.waiting"), count(it.waiting)], [t("queue.longest"), it.longest_since && time(it.longest_since)], [t("queue.members"), it.members], [t("queue.ready"), it.ready], [t("tenant"), it.tenant]])}
      ${section(t("queue.today"), pairs([[t("queue.offered"), count(it.offered)], [t("queue.answered"), count(it.answered)], [t("queue.in-time.s", { s: it.in_time_s }), `${count(it.in_time)}${it.offered ? ` · ${level(it)}` : ""}`], [t("queue.abandoned"), count(it.abandoned)]]))}
      ${places ? section(t("queue.places"), places.length ? html`<ul class="cards">${places.map((p) => html`<li><p>${p.agent ? html`<a href=${link(p.agent)}>${p.name ?? p.agent}</a>` : html`<span class="amber">${icon("warn")} ${t("queue.nobody")}</span>`} <span class="ink3">${p.device} · ${p.switch}</span></p><p>${condition(p)} ${time(p.since)}</p></li>`)}</ul>` : html`<p class="hint">${t("queue.places.none")}</p>`) : nothing}`);
  },
};
