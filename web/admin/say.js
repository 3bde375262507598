// Words of the console. Language and theme are the desk's: who chose one there finds it here.
import { clock, language, otherLanguage } from "../say.js";
import en from "./lang/en.js";
import zh from "./lang/zh-CN.js";

export { clock, language, otherLanguage };
const languages = { en, "zh-CN": zh };

/** The sentence under `key`, with {holes} filled. A key we do not have is answered with `otherwise`. */
export function t(key, holes = {}, otherwise = key) {
  const text = languages[language()][key];
  return text === undefined ? otherwise : text.replace(/\{(\w+)\}/g, (_, hole) => String(holes[hole] ?? ""));
}

const form = (style, at) => new Intl.DateTimeFormat(language(), style).format(new Date(at));

/** When it was, as short as it can be said: the time today, else the day too. */
export function when(iso) {
  if (!iso) return "—";
  const today = new Date(iso).toDateString() === new Date().toDateString();
  const year = new Date(iso).getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  return form(today ? { timeStyle: "medium", hour12: false } : { month: "short", day: "numeric", year, hour: "2-digit", minute: "2-digit", hour12: false }, iso);
}
/** The whole of it, for who points at it. */
export const whole = (iso) => (iso ? form({ dateStyle: "long", timeStyle: "long", hour12: false }, iso) : "");

/** How long ago, in steps of its own unit. */
export function age(iso) {
  if (!iso) return "—";
  const s = Math.max(0, (Date.now() - Date.parse(iso)) / 1000);
  if (s < 10) return t("age.now");
  if (s < 60) return t("age.s", { n: Math.floor(s / 10) * 10 });
  if (s < 3600) return t("age.min", { n: Math.floor(s / 60) });
  if (s < 86_400) return t("age.h", { n: Math.floor(s / 3600) });
  return when(iso);
}
export const count = (n) => new Intl.NumberFormat(language()).format(n);
export const percent = (part, of) => (of ? new Intl.NumberFormat(language(), { style: "percent", maximumFractionDigits: 1 }).format(part / of) : "—");
export const lasted = (ms) => (ms === undefined || ms === null ? "—" : clock(ms));
export const took = (ms) => (ms === undefined || ms === null ? "—" : `${count(ms)} ms`);
/** A text that the settings have in several languages. */
export const own = (texts, otherwise) => (language() === "zh-CN" ? texts?.zh ?? texts?.["zh-CN"] ?? texts?.en : texts?.en ?? Object.values(texts ?? {})[0]) ?? otherwise;
