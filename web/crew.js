// The team, for supervisors: who talks with whom and since when, and what can be done about it at that switch.
import { $, composing, el, fill, icon, number, open, put, shut } from "./hands.js";
import { desk, link } from "./here.js";
import { crew } from "./parts.js";
import { because, clock, t } from "./say.js";
import { stateWords } from "./state.js";
import { doing } from "./team.js";

const marks = { ringing: "ring", dialling: "talk", talking: "talk", holding: "hold", wrapup: "pen", busy: "talk", ready: "ok", "not-ready": "dash" };
export function drawTeam() {
  const { list, agents } = crew;
  put($("team-title"), t("team.title", { n: agents }));
  put($("team-more"), agents > list.length ? t("team.first", { n: list.length }) : !agents ? t("team.nobody") : "");
  fill($("team-list"), list, () => list.map(member));
  const of = $("menu").dataset.agent;
  if (of && !crew.of(of)?.actions.length) $("menu").hidePopover();
  tickTeam();
}
function member(m) {
  const is = doing(m), { call } = m;
  const state = el("span", `mark ${is}`, icon(marks[is] ?? "dash"), ["ready", "busy", "not-ready", "logged-off"].includes(is) ? stateWords(desk, m) : is === "blind" ? t(m.unregistered ? "team.unregistered" : "team.unseen") : is === "away" ? t("team.away") : t(is));
  const since = el("span", m.overrun ? "since red" : "since");
  if (m.since) since.dataset.since = m.since;
  const whom = el("span", "hint");
  if (call) whom.append([call.title ?? call.queue, call.name].filter(Boolean).join(" · "), " ", ...number(call.number));
  const more = el("button", "more", icon("more"));
  more.type = "button";
  more.dataset.key = m.agent;
  more.hidden = !m.actions.length;
  more.setAttribute("aria-haspopup", "menu");
  more.setAttribute("aria-label", t("team.do", { who: m.name ?? m.agent }));
  more.onclick = () => menu(m.agent, more);
  return el("li", "row member", state, el("b", "", m.name ?? m.agent), whom, since, more);
}
/** What can be done about an agent, each with what the agent or the customer notices of it. */
function menu(agent, at) {
  const box = $("menu"), who = crew.of(agent);
  if (!who) return;
  box.dataset.agent = agent;
  const item = (title, hint, act) => {
    const b = el("button", "", el("b", "", title), hint ? el("span", "hint", hint) : "");
    b.type = "button";
    b.setAttribute("role", "menuitem");
    b.onclick = () => { box.hidePopover(); void act(); };
    return b;
  };
  const verbs = who.actions.filter((deed) => deed.startsWith("call.")).map((deed) => item(t(deed), t(`${deed}.hint`), () => supervise(deed, agent, { agent })));
  // A state during a call comes after it, as when agents choose their own.
  const later = who.state === "busy", states = !who.actions.includes("agent.state") ? [] : ["ready", "not-ready", "logged-off"].filter((state) => state !== who.state)
    .map((state) => item(t("team.set", { s: t(`state.${state}`) }), later ? t("state.after") : "", () => supervise(later ? "agent.next" : "agent.state", agent, { agent, state })));
  if (verbs.length && states.length) states[0].classList.add("first");
  box.replaceChildren(...verbs, ...states);
  box.showPopover();
  place(box, at);
  box.firstElementChild?.focus();
}
/** Under what it belongs to, and never out of the window. */
function place(box, at) {
  box.style.setProperty("left", "8px"); // its own width, not what is left of the window's
  const row = at.getBoundingClientRect(), own = box.getBoundingClientRect();
  box.style.setProperty("left", `${Math.max(8, Math.min(row.right - own.width, innerWidth - own.width - 8))}px`);
  box.style.setProperty("top", `${Math.max(8, Math.min(row.bottom + 4, innerHeight - own.height - 8))}px`);
}
const rowOf = (agent) => [...$("team-list").querySelectorAll("[data-key]")].find((b) => b.dataset.key === agent);
addEventListener("resize", () => { const row = rowOf($("menu").dataset.agent); if (row) place($("menu"), row); });
async function supervise(deed, agent, body) {
  put($("team-says"), t(deed.startsWith("call.") ? "dialled" : "sending"));
  try { await link.ask(deed, body); put($("team-says"), t(`${deed}.done`, { who: crew.of(agent)?.name ?? agent })); } catch (failed) { put($("team-says"), because(failed)); }
}
export function tickTeam() {
  if (!$("team").open) return;
  for (const e of $("team-list").querySelectorAll("[data-since]")) put(e, clock((desk.frozen ?? link.now()) - Date.parse(e.dataset.since)));
}

$("crew").onclick = () => { open("team"); drawTeam(); put($("team-says"), ""); crew.look().catch((failed) => put($("team-says"), because(failed))); $("team-shut").focus(); };
$("team-shut").onclick = () => shut("team");
$("team").onclose = () => void crew.leave();
$("menu").ontoggle = (e) => {
  if (e.newState === "open") return;
  const { agent } = $("menu").dataset;
  delete $("menu").dataset.agent;
  rowOf(agent)?.focus();
};
$("menu").onkeydown = (e) => {
  if (composing(e)) return;
  const all = [...$("menu").children], step = { ArrowDown: 1, ArrowUp: -1 }[e.key];
  const next = step && all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
  if (!next) return;
  next.focus();
  e.preventDefault();
};
