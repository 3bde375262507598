// What was recorded of the call that is over. The link is asked for when somebody wants to hear it, and again when its time ran out.
import { $, button, fill, put, say } from "./hands.js";
import { desk, link } from "./here.js";
import { because, t } from "./say.js";
import { show } from "./tabs.js";

const heard = {};
export async function listen(call, recording = 0, from = 0) {
  try {
    const { link: found } = await link.ask("recording.link", { call, recording });
    if (desk.call?.pop.call !== call) return;
    Object.assign(heard, { call, recording, from, of: found.of, until: Date.parse(found.expires_at) });
    put($("heard-says"), "");
    $("heard").hidden = false;
    fill($("heard-which"), [call, recording, found.of], () => (found.of < 2 ? [] : [...Array(found.of).keys()].map((n) => {
      const b = button(String(n + 1), () => void listen(call, n), `heard ${n}`);
      b.setAttribute("aria-pressed", String(n === recording));
      return b;
    })));
    $("audio").src = found.url;
    show("do");
    $("audio").focus();
    $("heard").scrollIntoView({ block: "nearest" });
    // It was asked for by a click; where a browser wants another one, the player's own button is there.
    $("audio").play().catch(() => {});
  } catch (failed) { say("alert", because(failed)); put($("do-says"), because(failed)); }
}
/** Nothing of it is left under another call. */
export function hush(call) {
  if (!heard.call || heard.call === call) return;
  heard.call = undefined;
  $("audio").pause();
  $("audio").removeAttribute("src");
  $("audio").load();
  $("heard").hidden = true;
}
$("audio").onloadedmetadata = () => { if (heard.from) $("audio").currentTime = heard.from; heard.from = 0; };
$("audio").onerror = () => {
  if (!heard.call || !$("audio").hasAttribute("src")) return;
  if (link.now() >= heard.until) void listen(heard.call, heard.recording, $("audio").currentTime);
  else put($("heard-says"), t("recording.trouble"));
};
