// The console's page: who is signed in, where we are, what is wrong. The pages themselves are files of their own.
import { render } from "../vendor/lit-html.js";
import { agents, queues } from "./agents.js";
import { ask, on } from "./ask.js";
import connectors from "./connectors.js";
import flows from "./flows.js";
import kpis from "./kpis.js";
import links from "./links.js";
import { draw, html, icon, may, nothing, refusal, shared, shut, sorry } from "./parts.js";
import records from "./records.js";
import { alerts, audit, differences, settings } from "./rest.js";
import { at, here } from "./route.js";
import { language, otherLanguage, t } from "./say.js";
import trunks, { unsaved } from "./trunks.js";
import undelivered from "./undelivered.js";

const pages = [links, agents, queues, trunks, connectors, undelivered, records, kpis, flows, alerts, differences, audit, settings];
/** What is not for this role or this tenant is not drawn. */
const offered = () => pages.filter((page) => may(page.right) && !(page.site && shared.session.tenant));
const current = () => offered().find((page) => page.id === here().page) ?? offered()[0];

/** @type {HTMLElement} */
const root = document.querySelector("#console") ?? document.body;
let planned = false;
shared.draw = () => {
  if (planned) return;
  planned = true;
  queueMicrotask(() => { planned = false; show(); });
};

// Signing in.
let wrong = "", entering = false, /** why somebody comes back from the identity provider and is not inside @type {any} */ turned, /** who was let in last */ last = "";
const whose = ({ who, role, tenant }) => (who ? JSON.stringify([who, role, tenant]) : "");
async function enter(event) {
  event.preventDefault();
  const form = new FormData(event.target);
  entering = true;
  draw();
  try {
    shared.session = await ask("/v1/session", { name: form.get("name"), password: form.get("password") });
    wrong = "";
    turned = undefined;
    // What stands on the page is another's: it begins anew.
    if (last && last !== whose(shared.session)) { location.reload(); return; }
    last = whose(shared.session);
    await arrive();
    document.querySelector("h1")?.closest("main")?.focus();
  } catch (failed) {
    wrong = refusal(failed);
    const alert = document.getElementById("alert");
    if (alert) alert.textContent = wrong;
    entering = false;
    draw();
    setTimeout(() => /** @type {HTMLInputElement | null} */ (document.querySelector("#password"))?.select());
  }
  entering = false;
  draw();
}
function door() {
  const { ways } = shared.session, password = ways.includes("password"), oidc = ways.includes("oidc");
  return html`<main id="door-of" tabindex="-1"><h1>Linecard</h1><p class="ink2">${unsaved() ? t("door.again", { n: unsaved() }) : t("door.text")}</p>
    ${turned ? html`<p id="door-turned" class="fault red" role="alert">${icon("warn")} ${refusal(turned)}</p>` : nothing}
    ${oidc ? html`<a class="button strong" href="/admin/oidc">${t("door.oidc")}</a>` : nothing}
    ${oidc && password ? html`<p class="or">${t("door.or")}</p>` : nothing}
    ${password ? html`<form @submit=${enter}><label for="name">${t("door.name")}</label><input id="name" name="name" autocomplete="username" autocapitalize="off" spellcheck="false" required>
      <label for="password">${t("door.password")}</label><input id="password" name="password" type="password" autocomplete="current-password" aria-invalid=${wrong ? "true" : nothing} aria-describedby="door-says" required>
      <p id="door-says" class="red">${wrong}</p><button class=${oidc ? "" : "strong"} ?disabled=${entering}>${t("door.enter")}</button></form>` : nothing}
    ${ways.length ? nothing : html`<div class="topmost"><p>${t("door.first")}</p><pre tabindex="0">linecard account add ${t("door.example")} --role admin</pre><p class="hint">${t("door.first.then")}</p></div>`}
    <p class="tools-of">${tools()}</p></main>`;
}
async function leave() {
  try { shared.session = await ask("/v1/session", undefined, "DELETE"); } catch (failed) { sorry(failed); }
  draw();
}
on.lost = () => {
  if (!shared.session?.who) return;
  shared.session = { ...shared.session, who: null, rights: [] };
  wrong = "";
  const alert = document.getElementById("alert");
  if (alert) alert.textContent = t("lost");
  // Which ways there are may have changed too.
  void ask("/v1/session").then((session) => { shared.session = session; draw(); }, () => {});
  draw();
};

// The shell.
const tools = () => html`<button type="button" class="bare" lang=${language() === "en" ? "zh-CN" : "en"} @click=${() => { otherLanguage(); draw(); }}>${t("lang")}</button><button type="button" class="bare" aria-label=${t("theme")} @click=${() => theme(document.documentElement.dataset.theme === "dark" ? "light" : "dark")}>${icon("theme")}</button>`;
function shell() {
  const page = current(), o = shared.overview;
  return html`<nav aria-label=${t("nav")}><p class="brand">Linecard</p><ul>${offered().map((one) => {
    const wrong = o ? one.wrong(o) : 0;
    return html`<li><a href=${at(one.id)} aria-current=${one === page ? "page" : nothing}>${t(`page.${one.id}`)}${wrong ? html`<span class="wrong">${wrong}<span class="unseen"> ${t("wrong")}</span></span>` : nothing}</a></li>`;
  })}</ul><div class="foot"><p><b>${shared.session.who}</b><br><span class="ink3">${t(`role.${shared.session.role}`, {}, shared.session.role)}${shared.session.tenant ? ` · ${shared.session.tenant}` : ""}</span></p><p class="tools-of">${tools()}<button type="button" class="bare" aria-label=${t("leave")} @click=${leave}>${icon("out")}</button></p></div></nav>
    <main tabindex="-1" data-page=${page.id}>${page.view()}</main>${page.panel?.() ?? nothing}`;
}
function dialog() {
  const d = shared.dialog;
  if (!d) return nothing;
  const end = (value) => { shared.dialog = undefined; d.resolve(value); /** @type {HTMLDialogElement} */ (document.querySelector("#why")).close(); draw(); };
  const go = (event) => { event.preventDefault(); end(String(new FormData(event.target).get("why") ?? "").trim()); };
  return html`<dialog id="why" class=${d.wide ? "wide" : ""} aria-labelledby="why-title" @cancel=${(event) => { event.preventDefault(); end(undefined); }}><form @submit=${go}><h2 id="why-title">${d.title}</h2>${d.text ? html`<p>${d.text}</p>` : nothing}${typeof d.inside === "function" ? d.inside() : nothing}
    ${d.label ? html`<label for="why-text">${d.label}${d.required ? nothing : html` <span class="ink3">${t("optional")}</span>`}</label><input id="why-text" name="why" maxlength="400" autocomplete="off" ?required=${d.required}><p class="hint">${d.hint}</p>` : nothing}
    <div class="acts-of"><button class="strong">${d.act}</button><button type="button" @click=${() => end(undefined)}>${t("cancel")}</button></div></form></dialog>`;
}
function show() {
  if (!shared.session) return;
  document.documentElement.lang = language();
  const inside = shared.session.who && offered().length;
  document.title = inside ? `${t(`page.${current().id}`)} · Linecard` : "Linecard";
  render(inside ? html`<div id="shell" class=${current().panel?.() ? "with-panel" : ""}>${shell()}</div>${dialog()}` : shared.session.who ? html`<main id="door-of"><h1>Linecard</h1><p>${t("no-rights")}</p><p class="tools-of">${tools()}<button type="button" class="bare" aria-label=${t("leave")} @click=${leave}>${icon("out")}</button></p></main>` : door(), root);
  const box = /** @type {HTMLDialogElement | null} */ (document.querySelector("#why"));
  if (box && !box.open) box.showModal();
}

const dark = matchMedia("(prefers-color-scheme: dark)");
function theme(chosen) {
  if (chosen) localStorage.setItem("theme", chosen);
  document.documentElement.dataset.theme = localStorage.getItem("theme") || (dark.matches ? "dark" : "light");
}
theme();
dark.addEventListener("change", () => theme());

// What is wrong is counted every few seconds, and the page itself as often as it likes, while somebody can see it.
let counted = 0, loaded = 0, row = "";
async function overview() {
  counted = Date.now();
  try { shared.overview = await ask("/v1/overview"); } catch (failed) { if (failed.status === 0) sorry(failed); }
  draw();
}
async function load() {
  loaded = Date.now();
  await current()?.load();
}
const arrive = () => Promise.all([overview(), load()]);
setInterval(() => {
  if (document.hidden || !shared.session?.who) return;
  if (Date.now() - counted > 4000) void overview();
  const { every } = current() ?? { every: 0 };
  if (every && Date.now() - loaded >= every) void load();
}, 1000);
document.addEventListener("visibilitychange", () => { if (!document.hidden && shared.session?.who) void arrive(); });
addEventListener("hashchange", () => {
  draw();
  if (!shared.session?.who) return;
  const chosen = here().of.row ?? "", opens = chosen && chosen !== row && document.activeElement?.closest("td");
  row = chosen;
  // Who opened a row with the keyboard goes on in its panel.
  void load().then(() => { if (opens && document.activeElement?.matches(":focus-visible")) setTimeout(() => document.getElementById("panel-title")?.focus()); });
});
addEventListener("keydown", (event) => { if (event.key === "Escape" && !shared.dialog && here().of.row && !event.isComposing) shut(); });
addEventListener("beforeunload", (event) => { if (unsaved()) event.preventDefault(); });

/** Why the identity provider's answer let nobody in: the daemon leaves it in a cookie, which is read once. */
function turnedAway() {
  const left = /(?:^|; )linecard-refused=([^;]*)/.exec(document.cookie)?.[1];
  document.cookie = "linecard-refused=; Path=/admin; Max-Age=0";
  try {
    const told = left && JSON.parse(decodeURIComponent(left));
    return typeof told?.code === "string" && told.values ? told : undefined;
  } catch { return undefined; }
}
try {
  turned = turnedAway();
  shared.session = await ask("/v1/session");
  last = whose(shared.session);
  if (last) void arrive();
  // Somebody is inside already, and stays.
  if (last && turned) { sorry(turned); turned = undefined; }
} catch {
  shared.session = { who: null, rights: [], ways: ["password"] };
  wrong = t("no-answer");
}
draw();
