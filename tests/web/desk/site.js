// Where the pages come from: the binary's, at whatever port the demo got; or, for whoever works on them, nobody's, since the browser is handed the checkout.
import { demo } from "./hands.js";

export async function site() {
  if (process.env.LINECARD_WEB === "checkout") return { url: "http://127.0.0.1:8080/", stop: async () => {} };
  const { url, stop } = await demo("--by-hand");
  return { url, stop };
}
