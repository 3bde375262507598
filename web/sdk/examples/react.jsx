// Calls in a React page: `useCalls` draws again whenever something is new. `linecard` is the npm package; one Linecard for the whole page.
import { useEffect, useSyncExternalStore } from "react";
import { Linecard, bindTelLinks } from "linecard";

const linecard = new Linecard({ url: "https://linecard.example.com", token: () => fetch("/linecard-token").then((answer) => answer.text()), worker: true });

let drawn = { calls: [], up: false };
function subscribe(again) {
  const news = () => { drawn = { calls: linecard.calls, up: linecard.up }; again(); };
  const ends = ["pop", "updated", "changed", "gone", "up", "down"].map((name) => linecard.on(name, news));
  return () => ends.forEach((end) => end());
}
export const useCalls = () => useSyncExternalStore(subscribe, () => drawn);

export function Calls({ open }) {
  const { calls, up } = useCalls();
  useEffect(() => {
    void linecard.connect();
    const ends = [bindTelLinks(linecard), linecard.on("pop", (call) => { if (linecard.front) open(call.customer?.id); })];
    return () => ends.forEach((end) => end());
  }, [open]);
  return (
    <ul aria-busy={!up}>
      {calls.map((call) => (
        <li key={call.id}>
          {call.name ?? call.number} ({call.phase}) {call.can("answer") && <button onClick={() => call.answer()}>Answer</button>}
        </li>
      ))}
    </ul>
  );
}
