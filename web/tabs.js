// Narrow, facts and notes are two tabs; wide, they lie side by side and nothing here is seen.
import { $, composing } from "./hands.js";

let tab = "facts";
const narrow = matchMedia("(max-width: 760px)");
export function show(which) {
  tab = which;
  $("body").dataset.tab = tab;
  for (const name of ["facts", "do"]) { $(`tab-${name}`).setAttribute("aria-selected", String(tab === name)); $(`tab-${name}`).tabIndex = tab === name ? 0 : -1; }
  // What alone is seen is the main thing.
  $("do").setAttribute("role", narrow.matches && tab === "do" ? "main" : "complementary");
}
narrow.addEventListener("change", () => show(tab));
$("tabs").onkeydown = (e) => { if (composing(e)) return; if (e.key === "ArrowRight" || e.key === "ArrowLeft") { show(tab === "facts" ? "do" : "facts"); $(`tab-${tab}`).focus(); } };
$("tab-facts").onclick = () => show("facts");
$("tab-do").onclick = () => show("do");
