// What this page remembers in the browser, under one prefix. Storage may be refused (private windows, full disks): then the page
// works on, and forgets when it is closed.

const PREFIX = 'threefold:';
/** What the browser did not take, by name: for as long as this page is open. */
const unkept = new Map();
// In another tab somebody else has signed in, or this one has signed out.
addEventListener('storage', ({ key }) => key === `${PREFIX}owner` && unkept.clear());

/** The value under a name, or what is given for "nothing there". */
export function recall(name, otherwise = null) {
  try {
    const text = unkept.get(name) ?? localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/** Remembers a value; null forgets it. Says whether the browser did, or only this page. */
export function remember(name, value) {
  const text = JSON.stringify(value ?? null);
  unkept.delete(name);
  try {
    if (text === 'null') localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, text);
    return true;
  } catch {
    if (text !== 'null') unkept.set(name, text);
    return false;
  }
}

/** The names that begin so. */
export function remembered(beginning) {
  const names = [...unkept.keys()].map((name) => PREFIX + name);
  try {
    names.push(...Object.keys(localStorage));
  } catch {
    // Only what this page knows.
  }
  return [...new Set(names)].filter((name) => name.startsWith(PREFIX + beginning)).map((name) => name.slice(PREFIX.length));
}

/** Forgets everything but how the page looks, the servers, and what is needed to end a demonstration's accounts. */
export function forgetAll() {
  for (const name of remembered('')) if (!['look', 'servers', 'demo'].includes(name)) remember(name, null);
}

/** Calls back, with the name, when another tab changes a value whose name begins so; until what it returns is called. */
export function onChangedElsewhere(beginning, listener) {
  const hear = ({ key }) => {
    if (!key?.startsWith(PREFIX + beginning)) return;
    const name = key.slice(PREFIX.length);
    unkept.delete(name);
    listener(name);
  };
  addEventListener('storage', hear);
  return () => removeEventListener('storage', hear);
}

/** Whether something that was written would be lost with this page. */
export function wouldLose() {
  return [...unkept].some(([name, text]) => name.startsWith('draft:') || text.includes('"operation":'));
}

/** Random bytes as hexadecimal digits. */
export function randomHex(bytes) {
  const drawn = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(drawn, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** A random whole number that JSON keeps exactly. */
export function randomNumber() {
  const [high, low] = crypto.getRandomValues(new Uint32Array(2));
  return (high >>> 12) * 2 ** 32 + low || 1;
}
