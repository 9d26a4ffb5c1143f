// Waiting for what must come: for conditions, never for time; and never for ever.

/** Longer than anything takes on a busy machine: who waits this long has failed. */
export const PATIENCE_MS = 60_000;
const PAUSE_MS = 25;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Looks until there is something to see (neither undefined, null nor false), and returns it. */
export async function until(what, look, patience = PATIENCE_MS) {
  const end = Date.now() + patience;
  let last;
  for (;;) {
    try {
      const seen = await look();
      if (seen !== undefined && seen !== null && seen !== false) return seen;
    } catch (error) {
      last = error;
    }
    if (Date.now() > end) throw new Error(`in vain: ${what}${last ? ` (${last.message})` : ''}`);
    await sleep(PAUSE_MS);
  }
}

/** What a promise comes to, unless it takes too long. */
export async function within(what, promise, patience = PATIENCE_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`in vain: ${what}`)), patience);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
