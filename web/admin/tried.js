// A business system, tried from its panel: an operation that reads, with inputs of one's own. What answers say of people comes as shapes, and goes into the page as text.
import { ask } from "./ask.js";
import { doing, dot, draw, html, icon, nothing, pairs, section, tree } from "./parts.js";
import { t, took } from "./say.js";

/** What is typed stays with its system. */
const typed = new Map();
const of = (one) => {
  if (!typed.has(one.id)) typed.set(one.id, { operation: one.reads.find((r) => r.operation.startsWith("customer."))?.operation ?? one.reads[0].operation, inputs: {}, busy: false, told: undefined });
  return typed.get(one.id);
};
/** A text, unless it is an object or a list. */
const value = (text) => {
  if (!/^\s*[[{]/.test(text)) return text;
  try { return JSON.parse(text); } catch { return text; }
};

async function go(event, one) {
  event.preventDefault();
  const own = of(one), read = one.reads.find((r) => r.operation === own.operation);
  const inputs = {};
  for (const name of [...read.needs, ...read.may]) if (own.inputs[name]?.trim()) inputs[name] = value(own.inputs[name].trim());
  own.busy = true;
  own.told = undefined;
  draw();
  await doing(async () => { own.told = await ask(`/v1/connectors/${encodeURIComponent(one.id)}/try`, { operation: own.operation, inputs }); });
  own.busy = false;
  draw();
}

const good = ["ok", "empty", "not_found"];
const came = (h) => h.answer?.came;
/** What happened, in a line; the rest behind it. */
function line(h) {
  switch (h.happened) {
    case "asked": {
      const web = h.asked.web;
      return html`<p>${h.request}. <b>${h.step}</b></p>${web ? html`<p class="code">${web.method} ${web.url}</p>` : nothing}${more(t("tried.request"), web ? { headers: Object.fromEntries(web.headers), body: web.body } : h.asked)}`;
    }
    case "answered": {
      const it = came(h);
      return html`<p>${h.request}. ${it ? html`${it.status ? `HTTP ${it.status}` : t("tried.answered")}` : html`<span class="red">${t("evidence.none")}</span> ${h.answer.none.why}`} <span class="ink3">${took(h.took_ms)}${h.waited_ms ? ` · ${t("tried.waited", { ms: h.waited_ms })}` : ""}</span></p>${it ? more(t("evidence.body"), it.body) : nothing}`;
    }
    case "judged": return html`<p>${dot(good.includes(h.outcome) ? "green" : "red", t(`outcome.of.${h.outcome}`, {}, h.outcome))} ${h.reason ?? ""}</p>`;
    case "record": return html`<p>${h.taken ? dot("green", t("tried.taken", { n: h.record })) : dot("grey", t("tried.refused", { n: h.record }))} ${h.why ?? ""}</p>${h.taken ? more(t("tried.fields"), h.fields) : nothing}`;
    case "tried": return more(t("tried.rules", { n: h.rules.length }), h.rules);
    case "not-sent": return html`<p class="amber">${icon("dash")} ${t("tried.not-sent")}</p>`;
    default: { const { happened, ...rest } = h; return more(t(`tried.${happened}`, {}, happened), rest); }
  }
}
const more = (name, data) => html`<details><summary>${name}</summary>${typeof data === "string" ? html`<pre tabindex="0">${data}</pre>` : tree(data)}</details>`;

function result(told) {
  return html`<p>${dot(told.outcome === "ok" ? "green" : good.includes(told.outcome) ? "grey" : "red", t(`outcome.of.${told.outcome}`, {}, told.outcome))} <span class="ink3">${took(told.took_ms)}</span> ${told.reason ?? ""}</p>
    <ul class="cards tried">${told.happened.map((h) => html`<li>${line(h)}</li>`)}</ul>
    ${told.value === null ? nothing : more(t("tried.value"), told.value)}`;
}

export function trial(one) {
  if (!one.reads.length) return nothing;
  const own = of(one), read = one.reads.find((r) => r.operation === own.operation) ?? one.reads[0];
  const put = (name, needed) => html`<label><span>${name}${needed ? nothing : html` <span class="ink3">${t("optional")}</span>`}</span><input name=${`input-${name}`} .value=${own.inputs[name] ?? ""} autocomplete="off" spellcheck="false" ?required=${needed} @input=${(e) => { own.inputs[name] = e.target.value; }}></label>`;
  return section(t("tried.title"), html`<form class="trial" @submit=${(e) => go(e, one)}>
    <label><span>${t("system.operation")}</span><select name="operation" @change=${(e) => { own.operation = e.target.value; own.told = undefined; draw(); }}>${one.reads.map((r) => html`<option value=${r.operation} ?selected=${r.operation === own.operation}>${r.operation}</option>`)}</select></label>
    ${read.needs.map((name) => put(name, true))}${read.may.map((name) => put(name, false))}
    <button ?disabled=${own.busy}>${t("try")}</button></form>
    ${own.told ? result(own.told) : nothing}<p class="hint">${t("tried.hint")}</p>`);
}

/** What a shadow answers differently: where, how, how often. */
export function differences(compared) {
  if (!compared) return nothing;
  const all = compared.differences;
  return section(t("shadow.fields"), all.length ? html`<table class="small"><thead><tr><th scope="col">${t("shadow.field")}</th><th scope="col" class="digits">${t("shadow.times")}</th></tr></thead><tbody>${all.slice(0, 100).map((d) => html`<tr><td><code>${d.operation} ${d.field}</code><br>${d.how}</td><td class="digits">${d.times}</td></tr>`)}</tbody></table>` : html`<p class="hint">${t("shadow.same")}</p>`);
}
export const counts = (compared) => (compared ? pairs(Object.entries(compared.operations).map(([name, c]) => [name, t("shadow.counts", { asked: c.asked, both: c.asked - c.unanswered, same: c.same })])) : nothing);
