// Where we are: page, filter and row stand in the address, so that a look can be sent to a colleague and comes back with the browser's keys.

/** @returns {{page: string, of: Record<string, string>}} */
export function here() {
  const [page, rest = ""] = location.hash.replace(/^#\/?/, "").split("?");
  return { page, of: Object.fromEntries(new URLSearchParams(rest)) };
}

/** The address of a page; with `of`, its filter and row. */
export function at(page, of = {}) {
  const filled = Object.entries(of).filter(([, value]) => value);
  return `#/${page}${filled.length ? `?${new URLSearchParams(filled.map(([name, value]) => [name, String(value)]))}` : ""}`;
}

/** Changes filter or row and stays on the page; a filter is no step back, a row is. */
export function turn(changes) {
  const { page, of } = here(), to = at(page, { ...of, ...changes });
  if ("row" in changes) location.hash = to;
  else { history.replaceState(null, "", to); dispatchEvent(new HashChangeEvent("hashchange")); }
}
