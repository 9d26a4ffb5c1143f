// What this page remembers in the browser, under one prefix. Storage may be refused (private windows, full disks): then the page
// works on, and forgets when it is closed.

const PREFIX = 'threefold:';

/** The value under a name, or what is given for "nothing there". */
export function recall(name, otherwise = null) {
  try {
    const text = localStorage.getItem(PREFIX + name);
    return text === null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/** Remembers a value; null forgets it. Says whether it could. */
export function remember(name, value) {
  try {
    if (value === null || value === undefined) localStorage.removeItem(PREFIX + name);
    else localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** The names that begin so. */
export function remembered(beginning) {
  try {
    const names = Object.keys(localStorage);
    return names.filter((name) => name.startsWith(PREFIX + beginning)).map((name) => name.slice(PREFIX.length));
  } catch {
    return [];
  }
}

/** Forgets everything but how the page looks. */
export function forgetAll() {
  for (const name of remembered('')) if (name !== 'look' && name !== 'servers') remember(name, null);
}

/** Calls back when another tab changes the value under this name. */
export function onChangedElsewhere(name, listener) {
  addEventListener('storage', (event) => {
    if (event.key === PREFIX + name) listener();
  });
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
