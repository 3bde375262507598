// What an agent typed and the daemon has not yet said `done` to. It lies in IndexedDB, so that a reload, a crash of the
// browser or a lost connection loses no word, and is erased once saved. Where IndexedDB is refused, memory has to do.
const memory = new Map();
let opened;

function store(mode) {
  opened ??= new Promise((good, bad) => {
    const ask = indexedDB.open("linecard", 1);
    ask.onupgradeneeded = () => ask.result.createObjectStore("notes");
    ask.onsuccess = () => good(ask.result);
    ask.onerror = () => bad(ask.error);
  });
  return opened.then((db) => db.transaction("notes", mode).objectStore("notes"));
}
const answer = (request) => new Promise((good, bad) => {
  request.onsuccess = () => good(request.result);
  request.onerror = () => bad(request.error);
});
/** Agents of two tenants may have the same id. @param {{tenant: string, id: string}} agent @param {string} call */
const key = ({ tenant, id }, call) => JSON.stringify([tenant, id, call]);

export async function keep(agent, call, text) {
  memory.set(key(agent, call), text);
  try { await answer((await store("readwrite")).put(text, key(agent, call))); } catch { /* memory has it */ }
}
/** Erases, unless other words were typed since `text` was sent. */
export async function erase(agent, call, text) {
  if (memory.get(key(agent, call)) !== text) return;
  memory.delete(key(agent, call));
  try { await answer((await store("readwrite")).delete(key(agent, call))); } catch { /* nothing was there */ }
}
/** Everything of this agent: call to text. */
export async function kept(agent) {
  try {
    const s = await store("readonly");
    const [keys, texts] = await Promise.all([answer(s.getAllKeys()), answer(s.getAll())]);
    keys.forEach((k, i) => { if (!memory.has(k)) memory.set(k, texts[i]); });
  } catch { /* memory has it */ }
  const mine = new Map();
  for (const [k, text] of memory) {
    const [tenant, who, call] = JSON.parse(k);
    if (tenant === agent.tenant && who === agent.id) mine.set(call, text);
  }
  return mine;
}
