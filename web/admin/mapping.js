// The table of trunk mappings as somebody edits it: which rows are new, changed, moved or gone, and what becomes of edits when the file has changed meanwhile.
// No document and no network is touched here.

/** @typedef {Record<string, string>} Cells */
/** @typedef {{was?: number, cells: Cells, id: number}} Row */
/** @typedef {{revision: string, columns: string[], rows: Cells[], notes: any[], problems: any[], unmapped: any[]}} Table */

let next = 0;
/** @returns {Row} */
export const row = (cells, was) => ({ id: next++, was, cells: { ...cells } });
/** @param {Table} table */
export const rowsOf = (table) => table.rows.map((cells, was) => row(cells, was));

const filled = (cells) => Object.entries(cells).filter(([, text]) => text.trim()).map(([name, text]) => [name, text.trim()]).sort();
export const same = (a, b) => JSON.stringify(filled(a)) === JSON.stringify(filled(b));
export const isEmpty = (cells) => filled(cells).length === 0;

/** Whether this row is not as it lies in the file. */
export const edited = (table, of) => of.was === undefined || !same(of.cells, table.rows[of.was]);

/** How many rows are not as they lie in the file: new and changed ones, those that are gone, those that another one passed. */
export function changes(table, rows) {
  const kept = rows.filter((r) => r.was !== undefined).map((r) => r.was), sorted = [...kept].sort((a, b) => a - b);
  const gone = table.rows.length - kept.length;
  // Two rows that changed places are one move for whoever moved it.
  const moved = Math.ceil(kept.filter((was, n) => was !== sorted[n]).length / 2);
  return rows.filter((r) => edited(table, r)).length + gone + moved;
}

/** As the daemon wants them; rows in which nothing stands are not sent. */
export const proposed = (rows) => rows.filter((r) => !isEmpty(r.cells)).map(({ was, cells }) => ({ ...(was === undefined ? {} : { was }), cells: Object.fromEntries(filled(cells)) }));
/** Which row each of the sent ones is. */
export const sent = (rows) => rows.filter((r) => !isEmpty(r.cells));

/** The rows behind an act that sent `sent`: each of those lies in the file now, in that order; what was added since does not.
 * @param {Row[]} rows @param {Row[]} sent @returns {Row[]} */
export function applied(rows, sent) {
  const place = (of) => { const at = sent.indexOf(of); return at < 0 ? undefined : at; };
  return rows.filter((of) => place(of) !== undefined || !isEmpty(of.cells)).map((of) => ({ ...of, was: place(of) }));
}

/** A new row goes before the last one if that takes every call, else behind it. */
export function place(rows) {
  const last = rows.at(-1), narrow = ["switch", "trunk", "dialled", "dialled_from"];
  return last && narrow.every((name) => !last.cells[name]?.trim()) ? rows.length - 1 : rows.length;
}

export function move(rows, at, by) {
  const to = at + by;
  if (to < 0 || to >= rows.length) return rows;
  const moved = [...rows];
  moved.splice(to, 0, ...moved.splice(at, 1));
  return moved;
}

/** Edits that were made on an older file, made on the newer one: a row that still lies there as it was takes its edit, what was added is added, what was taken out goes.
 * What does not fit any more comes as a new row, so that nothing typed is lost.
 * @param {Table} old @param {Row[]} mine @param {Table} now @returns {Row[]} */
export function again(old, mine, now) {
  const rows = rowsOf(now), taken = new Set();
  const find = (cells) => rows.find((r) => !taken.has(r.id) && same(now.rows[/** @type {number} */ (r.was)], cells));
  const added = [];
  const stay = new Set(mine.filter((r) => r.was !== undefined).map((r) => r.was));
  for (const r of mine) {
    if (!edited(old, r)) continue;
    const there = r.was === undefined ? undefined : find(old.rows[r.was]);
    if (there) { there.cells = { ...r.cells }; taken.add(there.id); } else if (!isEmpty(r.cells)) added.push(row(r.cells));
  }
  const gone = new Set();
  old.rows.forEach((cells, was) => {
    const there = stay.has(was) ? undefined : find(cells);
    if (there) { gone.add(there.id); taken.add(there.id); }
  });
  const left = rows.filter((r) => !gone.has(r.id));
  left.splice(place(left), 0, ...added);
  return left;
}
