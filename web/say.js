// Words and figures as an agent reads them. Everything shown passes through here, and leaves as text, never as markup.
import codes from "./lang/codes.js";
import en from "./lang/en.js";
import zh from "./lang/zh-CN.js";

const texts = { en, "zh-CN": zh };
let lang = localStorage.getItem("lang") || (navigator.language.startsWith("zh") ? "zh-CN" : "en");
if (!texts[lang]) lang = "en";

export const language = () => lang;
/** A file in lang/, and a line here. */
export const languages = { en: "English", "zh-CN": "中文" };
export function setLanguage(which) {
  lang = which;
  localStorage.setItem("lang", lang);
}
export function otherLanguage() { setLanguage(lang === "en" ? "zh-CN" : "en"); }

/** The sentence under `key`, with {holes} filled. A key we do not have is answered with `otherwise`. */
export function t(key, holes = {}, otherwise = key) {
  const text = texts[lang][key];
  return text === undefined ? otherwise : text.replace(/\{(\w+)\}/g, (_, hole) => holes[hole] ?? "");
}

/** Which form a counted one takes: English says 2nd and 3rd. */
export const ordinal = (n) => new Intl.PluralRules(lang, { type: "ordinal" }).select(n);

/** Milliseconds as 0:42, 12:08 or 1:02:33. */
export function clock(ms) {
  const s = Math.max(0, Math.floor(ms / 1000));
  const two = (n) => String(n).padStart(2, "0");
  const h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  return h ? `${h}:${two(m)}:${two(s % 60)}` : `${m}:${two(s % 60)}`;
}

/** How old a fact is, in steps of its own unit; later than an hour, when it was. */
export function age(at, now) {
  const ms = now - at;
  if (ms < 10_000) return t("just-now");
  if (ms < 60_000) return t("s-ago", { n: Math.floor(ms / 10_000) * 10 });
  if (ms < 3_600_000) return t("min-ago", { n: Math.floor(ms / 60_000) });
  return day(new Date(at).toISOString(), now);
}

/** A share with what it is a share of: 92% (12). */
export const share = (part, of) => t("share", { p: new Intl.NumberFormat(lang, { style: "percent" }).format(part / of), n: of });

export const timeOfDay = (ms) => new Intl.DateTimeFormat(lang, { timeStyle: "medium", hour12: false }).format(new Date(ms));

/** A number in groups, as its class is read aloud. The gaps are margins, so that copying gives digits only. */
export function groups(number) {
  const digits = (number?.display ?? "").replaceAll("*", "•");
  const cut = (...sizes) => {
    const parts = [];
    let at = 0;
    for (const size of sizes) parts.push(digits.slice(at, (at += size)));
    if (at < digits.length) parts.push(digits.slice(at));
    return parts.filter(Boolean);
  };
  if (!/^[\d•]+$/.test(digits)) return digits ? [digits] : [];
  if (number.class === "mobile" && digits.length === 11) return cut(3, 4, 4);
  if (number.class === "shared-cost" || number.class === "toll-free") return cut(3, 3, 4);
  if (number.class === "geographic" && digits.startsWith("0")) return /^0(10|2\d)/.test(digits) ? cut(3, 4, 4) : cut(4, 4, 4);
  return [digits];
}

/** One value of a business system. Money comes as decimal text and stays exact as long as the browser can count it. */
export function value(name, v, all) {
  if (v === null || v === undefined || v === "") return "—";
  if (typeof v === "boolean") return v ? "✓" : "—";
  if (typeof v === "object") return JSON.stringify(v);
  if (/^\d{4}-\d\d-\d\d(T\d\d:\d\d|$)/.test(v) && !Number.isNaN(Date.parse(v))) return day(v);
  if (/^(balance|credit|total|amount|price|limit)/.test(name) && /^-?\d{1,13}(\.\d+)?$/.test(String(v))) {
    const currency = /^[A-Z]{3}$/.test(all?.currency ?? "") ? all.currency : undefined;
    /** @type {Intl.NumberFormatOptions} */
    const style = currency ? { style: "currency", currency, currencyDisplay: "narrowSymbol" } : { minimumFractionDigits: 2 };
    const money = new Intl.NumberFormat(lang, style);
    // The word, not only a minus, which is easily overlooked.
    return name === "balance" && Number(v) < 0 ? t("owes", { n: money.format(-Number(v)) }) : money.format(Number(v));
  }
  const counted = (typeof v === "number" && Number.isInteger(v) && name !== "id") || (name === "points" && /^\d{1,15}$/.test(v));
  return counted ? new Intl.NumberFormat(lang).format(Number(v)) : String(v);
}

/** A day as it is said: the time today, yesterday with the time, else the date. */
export function day(iso, now = Date.now()) {
  const at = new Date(iso), time = /^\d{4}-\d\d-\d\d$/.test(iso) ? "" : new Intl.DateTimeFormat(lang, { timeStyle: "short", hour12: false }).format(at);
  const today = at.toDateString() === new Date(now).toDateString();
  if (time && at.toDateString() === new Date(now - 86_400_000).toDateString()) return t("yesterday", { t: time });
  if (today && !time) return t("today");
  return new Intl.DateTimeFormat(lang, today ? { timeStyle: "short", hour12: false } : { day: "numeric", month: "short", ...(at.getFullYear() === new Date().getFullYear() ? {} : { year: "numeric" }) }).format(at);
}

/** Why somebody may be the caller; `me` is the agent who reads it. */
export function reason(r, me) {
  const who = r.agent === me ? t("you") : r.agent, on = r.at && day(r.at);
  const kind = r.kind === "owner" && r.agent === me ? "yours" : r.kind === "last-call" && !r.agent ? "last-contact" : r.kind;
  return t(`why.${kind}`, { who, on, n: r.count });
}

/** The label of a field that a connector named: ours if we have a word for it, else its own with spaces. */
export const label = (name) => t(`f.${name}`, {}, name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " "));
export const because = (failed) => codes[lang][failed.code] ?? codes[lang].other;

/** Why something is not there or was not done: by its word where this page has it, else the daemon's own sentence. `system`: the name of the one that it is about. */
export function told({ trouble, reason }, system = t("trouble.it")) {
  if (!trouble) return reason ?? "";
  const { kind, seconds, hours, count, most } = trouble, n = seconds ?? hours ?? most;
  const said = t(`trouble.${kind}${kind === "rate-limited" && n ? ".n" : ""}`, { s: system, n, count }, reason ?? "");
  // What the system itself says of what it was given helps to mend it.
  const own = ["invalid", "conflict"].includes(kind) ? (reason ?? "").replace(`${kind}: `, "") : "";
  return [said, own].filter(Boolean).join(" · ");
}

/** The colour of a state's word, where it is one that everybody uses; a system's own words stay without. */
const tones = {
  red: /late|overdue|delay|fail|urgent|延误|逾期|超时|异常|失败|加急/i,
  green: /done|complete|delivered|paid|resolved|完成|签收|已付|已解决|送达/i,
  grey: /clos|cancel|return|refund|关闭|取消|退/i,
  amber: /open|pending|wait|new|hold|处理|待|新建|未结/i,
  blue: /ship|pack|transit|progress|process|发货|配送|在途|打包|进行/i,
};
export const tone = (word) => Object.keys(tones).find((colour) => tones[colour].test(word ?? "")) ?? "";
