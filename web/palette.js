// Dial, find a customer or a ticket, and any command by its name: one field beside the call, never over the strip.
import { customerOf } from "./desk.js";
import { ticketAct } from "./facts.js";
import { attach, begin } from "./forms.js";
import { $, away, button, composing, el, open, put, shut } from "./hands.js";
import { ask, counted, desk, link } from "./here.js";
import { run, shown as keyShown } from "./keys.js";
import { fits } from "./outcome.js";
import { flows, tickets } from "./parts.js";
import { because, otherLanguage, t } from "./say.js";
import { choices as states } from "./state.js";
import { act } from "./strip.js";
import { verbsOf } from "./desk.js";
import { address } from "./tickets.js";
import { titled } from "./flows.js";

const linked = (url, text) => (address(url) ? away(url, text) : text);
export function palette() {
  open("panel");
  $("search-tickets").hidden = !tickets.searches;
  $("query").focus();
  $("query").select(); // what was looked for last gives way to what is typed now
  list();
}

/** Everything that can be done now, by the name that stands on its button. */
function commands() {
  const call = desk.call, all = verbsOf(call).map((verb) => [t(verb), () => act(verb), keyShown(verb)]);
  if (call) {
    all.push([t("notes"), () => run("notes"), keyShown("notes")], [t("outcome"), () => run("outcome"), keyShown("outcome")]);
    if (call.state.wrapup) all.push([t("done"), () => run("done"), keyShown("done")]);
    for (const o of flows.offers) all.push([titled(o.title, o.name), () => begin(o, call.pop.call), ""]);
  }
  for (const c of states(desk)) all.push([c.group ? `${c.group} › ${c.text}` : c.text, () => void ask(...c.ask), ""]);
  all.push([t("settings"), () => run("help"), keyShown("help")], [t("theme"), () => $("theme").click(), ""], [t("lang"), () => { otherLanguage(); run("words"); }, ""]);
  return all;
}
let at = -1;
function mark(next) {
  at = next;
  [...$("commands").children].forEach((o, i) => o.setAttribute("aria-selected", String(i === at)));
  const on = $("commands").children[at];
  if (on) { $("query").setAttribute("aria-activedescendant", on.id); on.scrollIntoView({ block: "nearest" }); } else $("query").removeAttribute("aria-activedescendant");
}
function list() {
  const text = $("query").value.trim();
  // Digits are a number to dial, and no command has any.
  const found = /^[+\d][\d\s*#()-]*$/.test(text) ? [] : commands().filter(([name]) => fits(name, text)).slice(0, 8);
  $("commands").replaceChildren(...found.map(([name, deed, key], i) => {
    const o = el("li", "option", el("span", "", name), key ? el("kbd", "", key) : "");
    o.id = `command-${i}`;
    o.setAttribute("role", "option");
    o.onclick = () => { shut("panel"); deed(); };
    return o;
  }));
  $("commands").hidden = !found.length;
  $("query").setAttribute("aria-expanded", String(found.length > 0));
  mark(-1);
}
$("query").oninput = () => { $("results").replaceChildren(); list(); };
$("query").onkeydown = (e) => {
  if (composing(e)) return;
  const n = $("commands").children.length;
  if (e.key === "ArrowDown" && n) mark((at + 1) % n);
  else if (e.key === "ArrowUp" && n) mark((at - 1 + n) % n);
  else if (e.key === "Enter" && at >= 0 && !e.ctrlKey && !e.metaKey) $("commands").children[at].click();
  else return;
  e.preventDefault();
};
async function dial(body) {
  put($("panel-says"), t("sending"));
  try { await link.ask("dial", body); put($("panel-says"), t("dialled")); shut("panel"); } catch (failed) { put($("panel-says"), because(failed)); }
}
$("ask").onsubmit = async (e) => {
  e.preventDefault();
  const query = $("query").value.trim(), call = desk.call?.pop.call;
  if (!query) return;
  put($("panel-says"), t("sending"));
  try {
    /** @type {{ candidates?: any[] }} */
    const { candidates: found = [] } = await link.ask("customer.search", call ? { call, query } : { query });
    counted("search-typed");
    put($("panel-says"), found.length ? "" : t("found-none"));
    const now = desk.calls.get(call)?.pop, chosen = now && customerOf(now)?.id;
    $("results").replaceChildren(...found.map((c) => {
      const li = el("li", "row", el("b", "", c.name ?? c.id), el("span", "hint", c.reason), el("span", "source", desk.named(c.link.system)));
      if (call && c.id !== chosen) li.append(button(t("choose"), () => { void ask("candidate.choose", { call, candidate: c.id }); shut("panel"); }));
      if (now?.actions.includes("customer.attach") && now.card.attach?.includes(c.link.system)) li.append(button(t("attach"), () => { void attach(call, c.id); shut("panel"); }));
      if (address(c.url)) li.append(away(c.url, t("open")));
      return li;
    }));
  } catch (failed) { put($("panel-says"), because(failed)); }
};
$("search-tickets").onclick = async () => {
  const query = $("query").value.trim(), call = desk.call?.pop.call;
  if (!query) return;
  put($("panel-says"), t("sending"));
  try {
    /** @type {{ tickets?: any[] }} */
    const { tickets: found = [] } = await link.ask("ticket.search", call ? { call, query } : { query });
    counted("search-typed");
    put($("panel-says"), found.length ? "" : t("found-no-ticket"));
    $("results").replaceChildren(...found.map((item) => el("li", "row", el("b", "", linked(item.url, `#${item.id} ${item.subject ?? item.title ?? ""}`)), el("span", "hint", item.state ?? item.status), el("span", "source", desk.named(item.system)), ticketAct(call, item.system, item))));
  } catch (failed) { put($("panel-says"), because(failed)); }
};
$("find").onclick = palette;
$("seek").onclick = palette;
$("shut").onclick = () => shut("panel");
$("dial").onclick = () => { const text = $("query").value.trim(); if (text) void dial({ number: text }); };
$("pad").append(..."123456789*0#".split("").map((digit) => button(digit, () => { $("query").value += digit; list(); })));
