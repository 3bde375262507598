// What an integrator writes in TypeScript, under `strict`; never run. `@ts-expect-error` fails where there is no error.
import { Linecard, LinecardError, bindTelLinks, type Frame } from "../../web/sdk/linecard.js";

const linecard = new Linecard({ url: "https://linecard.example.com", token: async ({ refused }) => (refused ? "new" : "old"), worker: true });
linecard.on("pop", (call) => show(call.name ?? call.number ?? "withheld", call.customer?.id));
linecard.on("gone", (call, reason) => show(call.id, reason));
linecard.on("frame", (frame: Frame) => { if (frame.type === "flow.changed") show(frame.flow); });
// @ts-expect-error nobody hears that
linecard.on("popped", () => {});

export async function work(): Promise<void> {
  await linecard.connect();
  const call = linecard.calls[0];
  if (call?.can("hold")) await call.hold();
  await linecard.request("call.transfer", { call: "01JD", to: "7000" });
  // @ts-expect-error it is `to`
  await linecard.request("call.transfer", { call: "01JD", too: "7000" });
  // @ts-expect-error it has a reason, and no such state
  await linecard.next("asleep");
  try {
    await linecard.dial({ number: "10010", ref: { system: "crm", type: "ticket", id: "1" } });
  } catch (error) {
    if (error instanceof LinecardError) show(error.code);
  }
}

const unbind: () => void = bindTelLinks(linecard, { told: (error, link) => show(link.href, String(error)) });
unbind();

function show(...what: unknown[]): void {
  document.body.append(...what.map(String));
}
