// While it rings: the tab's title and icon, a sound, a notification of the desktop. Each belongs to one pop, and goes with it.
import { $ } from "./hands.js";
import { desk } from "./here.js";
import { t } from "./say.js";

const LONGEST_MS = 90_000;
let player, bell, ringsFor; // the audio, what sounds now, the pop it sounds for

/** Sound needs a gesture of the person first; signing in is one. */
export function unlock() {
  try { player ??= new AudioContext(); void player.resume().catch(() => {}); } catch { player = undefined; }
}
addEventListener("pointerdown", unlock, { once: true });
addEventListener("keydown", unlock, { once: true });

/** Why there is no sound, or that there is. */
export function sound() {
  if (localStorage.getItem("sound") === "off") return "off";
  if (typeof AudioContext !== "function") return "impossible";
  return player?.state === "running" ? "on" : "locked";
}
/** Two soft tones every three seconds, all of them told to the browser at once: a hidden tab's timers sleep. */
export function ringing(pop, ms = LONGEST_MS) {
  silent();
  if (!player || (sound() !== "on" && pop !== "try")) return;
  const tone = player.createOscillator(), volume = player.createGain(), begins = player.currentTime;
  tone.connect(volume).connect(player.destination);
  volume.gain.value = 0;
  for (let at = 0; at < ms / 1000; at += 3) for (const [after, pitch] of [[0, 660], [0.28, 880]]) {
    tone.frequency.setValueAtTime(pitch, begins + at + after);
    volume.gain.setTargetAtTime(0.12, begins + at + after, 0.01);
    volume.gain.setTargetAtTime(0, begins + at + after + 0.2, 0.04);
  }
  tone.start();
  tone.stop(begins + ms / 1000);
  bell = tone;
  ringsFor = pop;
  tone.onended = () => { if (bell === tone) silent(); };
}
export function silent() {
  const tone = bell;
  bell = ringsFor = undefined;
  try { tone?.stop(); } catch { /* it had ended */ }
}

/** Why there are no notifications, or that there are. */
export function notices() {
  if (typeof Notification !== "function" || !isSecureContext) return "impossible";
  if (Notification.permission === "denied") return "denied";
  if (Notification.permission !== "granted") return "ask";
  return localStorage.getItem("notices") === "off" ? "off" : "on";
}
/** The line, and the number with its middle hidden: a notification is seen by whoever passes. No name. */
export const masked = (digits = "") => (digits.length < 7 || digits.includes("*") ? digits : `${digits.slice(0, 3)} •••• ${digits.slice(-4)}`);
let notice;
function notify(pop) {
  if (notices() !== "on" || (document.hasFocus() && !document.hidden)) return;
  try {
    notice = new Notification(`${t("ringing")} · ${pop.title ?? pop.queue?.label ?? ""}`, { body: pop.number?.class === "anonymous" ? t("withheld") : masked(pop.number?.display), tag: pop.pop, silent: true });
    notice.onclick = () => { window.focus(); notice?.close(); };
  } catch { /* some systems let only service workers notify */ }
}

const plain = "data:,";
// A handset in the colour of what rings.
const bright = `data:image/svg+xml,${encodeURIComponent("<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'><circle cx='8' cy='8' r='8' fill='#FFB84A'/><path fill='none' stroke='#1B1203' stroke-width='1.5' d='M4.5 4h1.6l.9 2.2-1.1.9a6 6 0 0 0 3.1 3.1l.9-1.1 2.2.9v1.6c0 .5-.3.8-.8.8A8 8 0 0 1 3.700 4.8c0-.5.3-.8.8-.8Z'/></svg>")}`;
let announced;
/** After every frame: what rings now, rings here. */
export function drawRing() {
  const call = desk.agent.active && [...desk.calls.values()].find((c) => c.state.leg === "ringing");
  const pop = call ? call.pop.pop : undefined;
  const title = pop ? `${t("ringing")} – ${call.pop.title ?? call.pop.queue?.label ?? ""}` : "Linecard";
  if (document.title !== title) document.title = title;
  const icon = /** @type {HTMLLinkElement} */ (document.querySelector("link[rel=icon]")), href = pop ? bright : plain;
  if (icon.getAttribute("href") !== href) icon.setAttribute("href", href);
  if (ringsFor && ringsFor !== pop && ringsFor !== "try") silent();
  if (!pop || announced !== pop) { notice?.close(); notice = undefined; }
  if (pop && announced !== pop) { announced = pop; ringing(pop); notify(call.pop); }
  $("desk").dataset.rings = ringsFor && ringsFor !== "try" ? "yes" : "no";
}
