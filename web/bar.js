// The bar: the agent's state and what it will be after the call, the seat, the switch and the business systems; and the settings of this page.
import { $, button, composing, el, fill, icon, open, put, say, shut } from "./hands.js";
import { chose, desk, draw, link } from "./here.js";
import { drawKeys, mac, resetKeys } from "./keys.js";
import { ringing, sound, notices } from "./ring.js";
import { because, language, languages, setLanguage, t, timeOfDay } from "./say.js";
import { afterCall, choices, stateWords, told } from "./state.js";

const stateIcons = { ready: "ok", "not-ready": "dash", "logged-off": "dash", "working-after-call": "pen", busy: "talk" };
export function drawState() {
  tickState();
  const all = choices(desk);
  fill($("states"), all, () => {
    const rows = [];
    for (const c of all) {
      const b = button(c.text, () => void choice(c.ask), c.key);
      b.setAttribute("role", c.kind === "item" ? "menuitem" : `menuitem${c.kind}`);
      if (c.kind !== "item") b.setAttribute("aria-checked", String(c.on));
      b.tabIndex = -1;
      let box = rows.at(-1);
      if (c.group && box?.ariaLabel !== c.group) {
        box = el("div", "", el("span", "hint", c.group));
        box.setAttribute("role", "group");
        box.ariaLabel = c.group;
        rows.push(box);
      }
      if (c.group) box.append(b); else rows.push(b);
    }
    return rows;
  });
  put($("states-head"), t(desk.agent.state === "busy" ? "state.after" : "state.now"));
}
export function tickState() {
  const { agent } = desk, busy = agent.state === "busy";
  $("state").className = agent.overrun ? "red" : busy ? "after" : { ready: "green", "working-after-call": "violet" }[agent.state] ?? "amber";
  const words = busy ? stateWords(desk, afterCall(agent)) : told(desk, desk.frozen ?? link.now());
  fill($("state"), [busy, words, agent.state], () => [busy ? el("span", "long", t("after-call")) : icon(stateIcons[agent.state] ?? "dash"), busy ? el("b", "", words) : el("span", "", words), icon("down")]);
}
async function choice([type, body]) {
  chose();
  put($("states-says"), t("sending"));
  try { await link.ask(type, body); put($("states-says"), ""); shutStates(true); } catch (failed) { put($("states-says"), because(failed)); say("alert", because(failed)); }
}
const stateItems = () => [...$("states").querySelectorAll("button")];
$("state").onclick = () => {
  if ($("states-box").open) { shutStates(true); return; }
  put($("states-says"), "");
  open("states-box");
  $("state").setAttribute("aria-expanded", "true");
  (stateItems().find((b) => b.getAttribute("aria-checked") === "true") ?? stateItems()[0])?.focus();
};
export function shutStates(back) {
  if (!$("states-box").open) return;
  $("states-box").close();
  if (back) $("state").focus();
}
$("states-box").onclose = () => $("state").setAttribute("aria-expanded", "false");
$("states").onkeydown = (e) => {
  if (composing(e)) return;
  const all = stateItems(), at = all.indexOf(document.activeElement);
  const to = { ArrowDown: (at + 1) % all.length, ArrowUp: (at - 1 + all.length) % all.length, Home: 0, End: all.length - 1 }[e.key];
  if (e.key === "Tab") { shutStates(false); return; }
  if (to === undefined) return;
  all[to]?.focus();
  e.preventDefault();
};

// Who sits fixed has no seat to take, and sees no control for it.
export function drawSeat() {
  const { seat } = desk.agent;
  $("seat").hidden = seat === undefined;
  $("seat").className = seat ? "" : "red";
  put($("seat"), seat ? t("seat.at", { s: seat.device }) : t("seat.none"));
  $("rise").hidden = !seat;
}
async function sit(type, body) {
  put($("seat-says"), t("sending"));
  try {
    await link.ask(type, body);
    put($("seat-says"), "");
    $("device").value = "";
    shut("desks");
  } catch (failed) {
    const who = failed.name ?? failed.agent;
    put($("seat-says"), failed.code === "seat-taken" && who ? t("seat.taken", { who }) : because(failed));
  }
}
$("seat").onclick = () => { put($("seat-says"), ""); open("desks"); $("device").focus(); };
$("sit").onsubmit = (e) => { e.preventDefault(); const device = $("device").value.trim(); if (device) void sit("seat.claim", { device }); };
$("rise").onclick = () => void sit("seat.leave");
$("stay").onclick = () => shut("desks");

/** The phone and the systems, the worst first; narrow shows that one alone. */
export function drawLinks(away) {
  const all = [...desk.links.values()], phones = desk.phones;
  fill($("links"), [away, all.map((l) => [l.kind, l.id, l.up]), phones, desk.systems], () => {
    if (away) return [el("span", "red", icon("cut"), el("span", "long", t(away.us ? "away.us" : "away.switch", { t: timeOfDay(away.at) })), el("span", "short", t("away.short", { t: timeOfDay(away.at) })))];
    const systems = all.filter((l) => l.kind === "system"), down = systems.filter((l) => !l.up);
    const bad = [...phones.map(({ why, phone }) => el("span", why === "unseen" ? "grey" : "red", icon(why === "unseen" ? "dash" : "cut"), t(why, { s: phone }))),
      ...down.map((l) => el("span", "red", icon("cut"), t("away.system", { s: desk.named(l.id) })))];
    const well = [phones.length ? "" : t("phone"), ...systems.filter((l) => l.up).map((l) => desk.named(l.id))].filter(Boolean).map((name) => el("span", "well", icon("ok"), name));
    return [...bad, ...(bad.length ? [] : [el("span", "green all", icon("ok"), t("all-well"))]), ...well];
  });
}

// Theme, language, what may be heard and shown, keys: kept in this browser.
const dark = matchMedia("(prefers-color-scheme: dark)");
export function theme(which = localStorage.getItem("theme")) {
  document.documentElement.dataset.theme = which ?? (dark.matches ? "dark" : "light");
}
dark.addEventListener("change", () => theme());
$("theme").onclick = () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
function setTheme(which) { if (which) localStorage.setItem("theme", which); else localStorage.removeItem("theme"); theme(); settings(); }

function select(name, value, all, changed) {
  const e = el("select");
  e.append(...all.map(([v, text]) => Object.assign(document.createElement("option"), { value: v, textContent: text })));
  e.value = value;
  e.dataset.key = `set ${name}`;
  e.onchange = () => changed(e.value);
  return el("label", "pairs", el("span", "hint", t(`set.${name}`)), e);
}
function line(name, says, ...acts) { return el("div", "set", el("b", "", t(`set.${name}`)), el("span", "hint", says), ...acts); }
export function settings() {
  if (!$("settings").open) return;
  put($("me"), `${desk.me.name ?? desk.me.id} · ${desk.me.id}`);
  const n = notices(), s = sound();
  fill($("settings-list"), [n, s, localStorage.getItem("theme"), localStorage.getItem("lang")], () => [
    select("language", language(), Object.entries(languages), (v) => { setLanguage(v); run(); }),
    select("theme", localStorage.getItem("theme") ?? "", [["", t("set.theme.system")], ["light", t("set.theme.light")], ["dark", t("set.theme.dark")]], setTheme),
    line("notices", t(`notices.${n}`), n === "ask" ? button(t("set.allow"), async () => { await Notification.requestPermission(); localStorage.setItem("notices", "on"); settings(); }, "set allow") : n === "on" || n === "off" ? button(t(n === "on" ? "set.off" : "set.on"), () => { localStorage.setItem("notices", n === "on" ? "off" : "on"); settings(); }, "set notices") : ""),
    line("sound", t(`sound.${s}`), button(t("set.try"), () => { ringing("try", 2_000); settings(); }, "set try"), button(t(s === "off" ? "set.on" : "set.off"), () => { localStorage.setItem("sound", s === "off" ? "on" : "off"); settings(); }, "set sound")),
  ]);
  drawKeys(() => { settings(); draw(); }, (text) => put($("settings-says"), text));
  $("keys-list").append(el("tr", "", el("td", "hint", mac ? t("keys.mac") : ""), el("td", "", button(t("keys.reset"), () => { resetKeys(); settings(); draw(); }, "keys reset"))));
}
/** The words of the whole page, drawn anew. */
let run = () => {};
export const wordsBy = (again) => { run = again; };
export function help() {
  if ($("settings").open) { shut("settings"); return; }
  open("settings");
  settings();
  $("settings-shut").focus();
}
$("help").onclick = help;
$("settings-shut").onclick = () => shut("settings");
$("leave").onclick = () => { sessionStorage.removeItem("token"); location.reload(); };
