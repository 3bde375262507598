// The board: what is true now, drawn as text. Numbers come from board.changed, agents from team.list and team.changed; nothing of customers is drawn.
import { Connection } from "../sdk/linecard.js";
import codes from "../lang/codes.js";
import { Team } from "../team.js";
import { above, below, freshness, group, percent, tiles } from "./judge.js";
import { words } from "./words.js";

/** @type {(id: string) => any} */
const $ = (id) => document.getElementById(id);
const wall = new URLSearchParams(location.search).has("wall");
const GROUPS = ["ready", "busy", "after_call", "not_ready", "away"];
const COLOURS = { ready: "green", busy: "blue", after_call: "violet", not_ready: "grey", away: "grey", ok: "green", near: "amber", over: "red", unknown: "grey" };
/** Agents drawn at most; the others are counted. */
const SHOWN = 60;

let lang = localStorage.getItem("lang") || (navigator.language.startsWith("zh") ? "zh-CN" : "en");
if (!words[lang]) lang = "en";
const t = (key, holes = {}) => (words[lang][key] ?? key).replace(/\{(\w+)\}/g, (_, hole) => String(holes[hole] ?? ""));

/** What the settings call it in this page's language, else in any. */
const titled = (titles, otherwise) => titles?.[lang] ?? titles?.[lang.split("-")[0]] ?? titles?.en ?? Object.values(titles ?? {})[0] ?? otherwise;
/** What was refused, in this page's language. */
const because = (failed) => codes[lang][failed?.code] ?? codes[lang].other;

let board; // as it was told last
let told = 0; // when, by the server's clock
let first; // since when today is counted, where the hours before are still read
let refused = "";
let asTable = false;

const link = new Connection({ url: location.href, active: false, on: {
  frame: (frame) => {
    if (frame.type === "welcome") look();
    if (frame.type === "board.changed") { board = frame; told = Date.parse(frame.at); first ??= told; }
    crew.take(frame);
    draw();
  },
  up: () => draw(),
  down: () => draw(),
  refused: () => { sessionStorage.removeItem("token"); door(t("door.refused")); },
} });
const crew = new Team(link, () => draw());

async function look() {
  try {
    await link.ask("board.watch", {});
    refused = "";
    // The wall has no agent by name, and asks for none.
    if (!wall) await crew.look();
  } catch (failed) { refused = failed?.code === "not-permitted" ? t("not-yours") : because(failed); }
  draw();
}

// Small hands for the document.
function el(tag, classes = "", ...inside) {
  const e = document.createElement(tag);
  if (classes) e.className = classes;
  e.append(...inside.filter((x) => x !== undefined && x !== null && x !== ""));
  return e;
}
function svg(tag, attributes, ...inside) {
  const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) e.setAttribute(name, String(value));
  e.append(...inside);
  return e;
}
const icon = (name) => svg("svg", { "aria-hidden": "true" }, svg("use", { href: `#i-${name}` }));
/** Replaces what is inside only if the picture differs, and leaves the focus on what it was on. */
function fill(box, picture, make) {
  const key = JSON.stringify([lang, picture]);
  if (box.picture === key) return;
  box.picture = key;
  const at = document.activeElement;
  const on = at instanceof HTMLElement && box.contains(at) ? at.dataset.key : undefined;
  box.replaceChildren(...make());
  if (on !== undefined) [...box.querySelectorAll("[data-key]")].find((e) => e.dataset.key === on)?.focus();
}
const put = (e, text) => { if (e.textContent !== text) e.textContent = text; };

function clock(ms) {
  const s = Math.max(0, Math.floor(ms / 1000)), two = (n) => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}
/** A share without a decimal place; near a limit the words say on which side. */
const share = (value) => (value === undefined ? "–" : `${Math.round(value)}%`);
const shown = (kind, value) => (kind === "time" ? clock(value) : kind === "percent" ? share(value) : new Intl.NumberFormat(lang).format(value));
const verdict = (of) => el("span", `verdict ${COLOURS[of]}`, icon(of), t(of === "unknown" ? "no-case-tile" : of));

function draw() {
  const here = Boolean(board) || Boolean(refused);
  if ($("door").hidden) $("board").hidden = !here;
  if (!here) return;
  const now = link.now(), age = now - told;
  const fresh = !board ? "dead" : freshness(age);
  document.body.dataset.fresh = refused ? "dead" : link.up ? fresh : fresh === "fresh" ? "old" : fresh;
  const s = Math.max(0, Math.round(age / 1000));
  fill($("age"), [fresh, link.up, fresh === "fresh" ? 0 : s, refused], () => refused ? [icon("over"), refused]
    : !link.up ? [icon("cut"), `${t("away")}, ${t("old", { n: s })}`]
    : fresh === "dead" ? [icon("cut"), t("dead", { n: s })] : fresh === "old" ? [icon("near"), t("old", { n: s })] : [icon("ok"), t("fresh")]);
  if (!board) return;
  const time = (ms) => new Intl.DateTimeFormat(lang, { timeStyle: "short", hour12: false }).format(new Date(ms));
  put($("note"), board.complete ? "" : t("incomplete", { t: time(first) }));
  const six = tiles(board, now);
  fill($("tiles"), six.map(({ id, value, verdict }) => [id, id === "longest" ? clock(value) : value, verdict]), () => six.map(tile));
  fill($("staff"), board.agents, () => staff(board.agents));
  if (wall) return;
  fill($("queues"), [board.queues, board.limits, board.queues.map((q) => waited(q, now))], () => queues(now));
  fill($("day"), [board.hours, asTable], () => day());
  fill($("alerts"), board.alerts, () => alerts());
  fill($("people"), [crew.agents, crew.list, Math.floor(now / 5_000)], () => people(now));
}

function tile({ id, value, kind, verdict: is, limit, of }) {
  const detail = of && of[1] ? t("of-cases", { n: of[0], of: of[1] }) : "";
  const bound = limit ? t(limit[0], { n: limit[0] === "limit-s" ? clock(limit[1] * 1000) : limit[1] }) : "";
  return el("article", `tile ${is}`, el("h2", "label", t(id)), verdict(is), el("p", "big", value === undefined ? "–" : shown(kind, value)),
    el("p", "bound", [bound, detail].filter(Boolean).join(lang === "en" ? " · " : "，")));
}

/** One bar: who does what, with words and counts. */
function staff(agents) {
  const all = GROUPS.reduce((sum, of) => sum + agents[of], 0);
  const bar = el("div", "bar", ...GROUPS.filter((of) => agents[of]).map((of) => { const part = el("i", COLOURS[of]); part.style.setProperty("flex-grow", agents[of]); return part; }));
  if (!all) return [el("p", "quiet", t("no-agents"))];
  bar.setAttribute("aria-hidden", "true");
  return [el("h2", "unseen", t("staff")), bar, el("ul", "legend", ...GROUPS.map((of) => el("li", COLOURS[of], icon(of === "ready" ? "ok" : of), el("b", "", String(agents[of])), t(`s.${of}`))))];
}

const waited = (queue, now) => (queue.longest_since ? clock(now - Date.parse(queue.longest_since)) : "");

function queues(now) {
  if (!board.queues.length) return [el("h2", "", t("queues")), el("p", "quiet", t("no-queues"))];
  const head = ["queue", "waiting", "longest", "level", "abandoned", "ready"].map((of, n) => { const th = el("th", n ? "number" : "", t(of)); th.scope = "col"; return th; });
  const limits = board.limits;
  const cell = (is, text, more) => el("td", "number", is === "ok" || is === "unknown" ? undefined : verdict(is), el("span", COLOURS[is === "ok" ? "" : is] ?? "", text), more ? el("small", "", more) : undefined);
  const rows = board.queues.map((queue) => {
    const longest = queue.longest_since ? now - Date.parse(queue.longest_since) : 0;
    const level = percent(queue.in_time, queue.offered), given = percent(queue.abandoned, queue.offered);
    const name = el("th", "", queue.label ?? (queue.queue || t("none")));
    name.scope = "row";
    return el("tr", "", name,
      cell(above(queue.waiting, limits.waiting), String(queue.waiting)),
      cell(queue.waiting ? above(longest / 1000, limits.longest_s) : "ok", queue.waiting ? clock(longest) : "–"),
      cell(level === undefined ? "unknown" : below(level, limits.service_level), share(level), level === undefined ? "" : `${queue.in_time}/${queue.offered}`),
      cell(given === undefined ? "unknown" : above(given, limits.abandonment), share(given), given === undefined ? "" : `${queue.abandoned}/${queue.offered}`),
      cell(queue.ready === 0 && queue.waiting ? "over" : "ok", queue.ready === undefined ? t("unknown") : String(queue.ready), queue.members === undefined ? "" : `/${queue.members}`));
  });
  const scroll = el("div", "scroll", el("table", "", el("thead", "", el("tr", "", ...head)), el("tbody", "", ...rows)));
  scroll.tabIndex = 0;
  return [el("h2", "", t("queues")), scroll];
}

/** Columns by the hour, what was given up darker; hours without a call stay gaps. */
function day() {
  const button = el("button", "", asTable ? t("chart") : t("table"));
  button.type = "button";
  button.dataset.key = "day";
  button.onclick = () => { asTable = !asTable; draw(); };
  const head = el("div", "head", el("h2", "", t("hours")), board.hours.length ? button : undefined);
  if (!board.hours.length) return [head, el("p", "quiet", t("no-case"))];
  if (asTable) {
    const columns = ["hour", "offered", "in-time", "level_short", "given"].map((of, n) => el("th", n ? "number" : "", t(of)));
    const rows = board.hours.map((h) => el("tr", "", el("th", "", t("h", { h: h.hour })), ...[h.offered, h.in_time, share(percent(h.in_time, h.offered)), h.abandoned].map((x) => el("td", "number", String(x)))));
    return [head, el("table", "", el("thead", "", el("tr", "", ...columns)), el("tbody", "", ...rows))];
  }
  const most = Math.max(...board.hours.map((h) => h.offered), 1), all = board.hours.reduce((sum, h) => sum + h.offered, 0);
  const from = Math.min(...board.hours.map((h) => h.hour)), to = Math.max(...board.hours.map((h) => h.hour));
  const wide = 36, high = 96, parts = [];
  for (const h of board.hours) {
    const x = (h.hour - from) * wide + 6, up = (n) => (n / most) * high;
    const rest = h.offered - h.in_time - h.abandoned;
    let y = high + 16;
    for (const [of, n] of [["green", h.in_time], ["amber", rest], ["red", h.abandoned]]) {
      if (!n) continue;
      y -= up(n);
      parts.push(svg("rect", { class: of, x, y, width: wide - 12, height: up(n) }));
    }
    const label = (text, at, classes = "") => { const e = svg("text", { x: x + (wide - 12) / 2, y: at, class: classes, "text-anchor": "middle" }); e.textContent = String(text); return e; };
    if (h.offered) parts.push(label(h.offered, y - 4));
    parts.push(label(h.hour, high + 30, "hour"));
  }
  const peak = board.hours.reduce((a, b) => (b.offered > a.offered ? b : a));
  const caption = el("figcaption", "unseen", t("chart_says", { n: all, most: peak.offered, hour: peak.hour }));
  const width = (to - from + 1) * wide;
  const picture = svg("svg", { class: "columns", viewBox: `0 0 ${width} ${high + 36}`, width, height: high + 36, "aria-hidden": "true" }, ...parts);
  const key = el("ul", "legend", ...[["green", "in-time"], ["amber", "otherwise"], ["red", "given"]].map(([colour, of]) => el("li", "", el("i", `swatch ${colour}`), t(of))));
  return [head, el("figure", "", caption, picture), key];
}

function alerts() {
  const list = board.alerts.map((a) => el("li", "red", icon("over"), el("b", "", titled(a.title, a.alert)), a.subject));
  return [el("h2", "", t("alerts")), list.length ? el("ul", "list", ...list) : el("p", "quiet", t("no-alerts"))];
}

const leg = { ringing: "ringing", dialling: "dialling", talking: "talking_now", holding: "holding" };
function people(now) {
  const head = el("h2", "", t("agents"));
  if (!crew.list.length) return [head, el("p", "quiet", t("no-agents"))];
  const parts = [head];
  let left = SHOWN;
  for (const of of GROUPS) {
    const here = crew.list.filter((member) => group(member) === of);
    if (!here.length) continue;
    const some = here.slice(0, Math.max(left, 0));
    left -= some.length;
    const list = some.map((member) => {
      const who = member.name ?? member.agent;
      const since = member.since ? clock(now - Date.parse(member.since)) : "";
      const does = member.call ? t(leg[member.call.leg] ?? "s.busy") : member.unseen || member.unregistered ? t("blind") : member.reason ?? t(`s.${of}`);
      const card = el("button", `agent ${member.call?.leg === "ringing" ? "amber" : COLOURS[of]}${member.overrun ? " overrun" : ""}`, el("b", "", who), el("span", "", does), el("span", "since", since), member.call?.queue ? el("small", "", member.call.queue) : undefined);
      card.type = "button";
      card.dataset.key = `agent ${member.agent}`;
      card.setAttribute("aria-haspopup", "menu");
      card.onclick = () => menu(member, card);
      return el("li", "", card);
    });
    parts.push(el("div", "group", el("h3", COLOURS[of], icon(of === "ready" ? "ok" : of), t(`s.${of}`), el("span", "", String(here.length))), el("ul", "cards", ...list)));
  }
  const hidden = crew.agents - (SHOWN - Math.max(left, 0));
  if (left <= 0 && hidden > 0) parts.push(el("p", "quiet", t("more", { n: hidden })));
  return parts;
}

/** What can be done with an agent: it says who will notice. */
function menu(member, at) {
  const can = member.actions ?? [];
  const items = [];
  const item = (text, hint, act) => {
    const b = el("button", "", el("span", "", text), hint ? el("small", "", hint) : undefined);
    b.type = "button";
    b.setAttribute("role", "menuitem");
    b.onclick = async () => {
      $("menu").hidePopover();
      at.focus();
      try { await act(); put($("status"), t("done")); } catch (failed) { for (const at of ["status", "note"]) put($(at), because(failed)); }
    };
    items.push(b);
  };
  for (const [verb, who] of /** @type {const} */ ([["listen", "unheard"], ["whisper", "heard"], ["barge", "open"]])) {
    if (can.includes(`call.${verb}`) && member.call) item(t(verb), t(who), () => link.ask(`call.${verb}`, { agent: member.agent }));
  }
  if (can.includes("agent.state")) {
    for (const state of /** @type {const} */ (["ready", "not-ready", "logged-off"])) item(t(`to-${state}`), "", () => link.ask("agent.state", { state, agent: member.agent }));
  }
  if (!items.length) return;
  const box = $("menu");
  box.setAttribute("aria-label", t("actions", { who: member.name ?? member.agent }));
  box.replaceChildren(...items);
  const { left, bottom } = at.getBoundingClientRect();
  box.style.setProperty("left", `${Math.min(left, innerWidth - 240)}px`);
  box.style.setProperty("top", `${Math.min(bottom + 4, innerHeight - 40 * items.length - 16)}px`);
  box.showPopover();
  items[0].focus();
}
$("menu").onkeydown = (event) => {
  const items = [...$("menu").children], at = items.indexOf(document.activeElement);
  const to = event.key === "ArrowDown" ? at + 1 : event.key === "ArrowUp" ? at - 1 : undefined;
  if (to === undefined) return;
  event.preventDefault();
  items[(to + items.length) % items.length].focus();
};

function relabel() {
  document.documentElement.lang = lang;
  document.title = t("title");
  for (const e of document.querySelectorAll("[data-t]")) put(e, t(/** @type {HTMLElement} */ (e).dataset.t));
  for (const e of document.querySelectorAll("[data-l]")) e.setAttribute("aria-label", t(/** @type {HTMLElement} */ (e).dataset.l));
  put($("lang"), t("lang"));
  draw();
}
$("lang").onclick = () => { lang = lang === "en" ? "zh-CN" : "en"; localStorage.setItem("lang", lang); relabel(); };
const theme = (which) => { localStorage.setItem("theme", which); document.documentElement.dataset.theme = which; };
$("theme").onclick = () => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");

function door(why = "") {
  $("board").hidden = true;
  $("door").hidden = false;
  put($("door-says"), why);
}
$("door").onsubmit = (event) => { event.preventDefault(); const token = $("token").value.trim(); $("token").value = ""; if (token) enter(token); };
function enter(token) {
  sessionStorage.setItem("token", token);
  $("door").hidden = true;
  link.open(token);
}

document.documentElement.dataset.theme = wall ? "dark" : localStorage.getItem("theme") ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
document.body.classList.toggle("wall", wall);
relabel();
const kept = sessionStorage.getItem("token");
if (kept) enter(kept); else door();
setInterval(draw, 1_000);
