// The console's HTTP: each answer or a sentence why not. Whose session is over is told to `lost`, and what he typed stays where it is.

/** A request that was not done. */
export class Refused extends Error {
  constructor(status, told) {
    super(told?.error ?? `HTTP ${status}`);
    this.status = status;
    /** A word for it, and what stands in its sentence. @type {string | undefined} */
    this.code = told?.code;
    /** @type {Record<string, string>} */
    this.values = told?.values ?? {};
    /** @type {{file: string, line: number, key: string, found: string, wanted: string}[]} */
    this.problems = told?.problems ?? [];
  }
}

export const on = { lost: () => {} };

/** @param {string} path @param {object} [body] With it something is done. @param {string} [method] @returns {Promise<any>} */
export async function ask(path, body, method = body ? "POST" : "GET") {
  let answer;
  try {
    answer = await fetch(path, method === "GET" ? {} : { method, headers: { "X-Linecard": "1", "Content-Type": "application/json" }, body: body && JSON.stringify(body) });
  } catch {
    throw new Refused(0, undefined);
  }
  const told = await answer.json().catch(() => undefined);
  if (answer.ok) return told;
  if (answer.status === 401 && path !== "/v1/session") on.lost();
  throw new Refused(answer.status, told);
}

/** `?a=1&b=2` of what is not empty. */
export function query(of) {
  const filled = Object.entries(of).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return filled.length ? `?${new URLSearchParams(filled.map(([name, value]) => [name, String(value)]))}` : "";
}
