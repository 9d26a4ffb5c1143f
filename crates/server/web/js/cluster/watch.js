// Watches the cluster while somebody looks: asks any server for the status that `threefold status` prints, and keeps the last minute of
// it and what happened. It asks over the page's one connection, so it goes on at another server when that one's dies.

import { signal } from '../preact.js';
import { connection } from '../state/app.js';
import { changes, committedBetween, lagOf, leaderOf } from './changes.js';

const PAUSE_MS = 500;
/** While nobody leads, and when a page in the background is not seen. */
const HASTE_MS = 120;
const HIDDEN_PAUSE_MS = 5000;
const PATIENCE_MS = 2000;
/** A look older than this is not how it is now. */
export const OLD_MS = 2500;
/** What charts show. */
export const WINDOW_MS = 60_000;
/** So much is remembered of what happened. */
const EVENTS = 100;

/** The newest status, or null. */
export const status = signal(null);
/** When it came, by the page's own clock. */
export const seenAt = signal(0);
/** Looks of the last minute: {at, rate, latency, tail, lags}. */
export const samples = signal([]);
/** What happened, newest first: {at, tone, words, key}. */
export const events = signal([]);

let watchers = 0;
let timer = 0;
let round = 0;
let lastKey = 0;
let through = '';
let silent = false;

export function tell(tone, words) {
  lastKey += 1;
  events.value = [{ at: Date.now(), tone, words, key: lastKey }, ...events.value].slice(0, EVENTS);
}

/** Watches until the function it returns is called. */
export function watch() {
  watchers += 1;
  if (watchers === 1) {
    round += 1;
    look(round);
  }
  return () => {
    watchers -= 1;
    if (watchers === 0) {
      round += 1;
      clearTimeout(timer);
    }
  };
}

async function look(mine) {
  let led = false;
  try {
    const found = await connection.call('status', {}, { once: true, patience: PATIENCE_MS });
    if (mine !== round) return;
    take({ ...found, servers: found.servers ?? [] });
    led = Boolean(leaderOf(found));
  } catch {
    // Between two servers, most likely: the next look is soon.
    if (status.value && !silent && Date.now() - seenAt.value > OLD_MS && mine === round) {
      silent = true;
      tell('bad', 'No server answers');
    }
  }
  if (mine !== round) return;
  const pause = document.visibilityState === 'hidden' ? HIDDEN_PAUSE_MS : led ? PAUSE_MS : HASTE_MS;
  timer = setTimeout(() => look(mine), pause);
}

function take(found) {
  const before = status.value;
  const now = Date.now();
  const gap = now - seenAt.value;
  const leader = leaderOf(found);
  const lags = Object.fromEntries(found.servers.filter((server) => server.role !== 'down').map((server) => [server.name, lagOf(found, server)]));
  const fresh = before && gap < WINDOW_MS;
  const sample = {
    at: now,
    rate: fresh && gap > 0 ? (committedBetween(before, found) * 1000) / gap : 0,
    latency: (leader?.commit_latency_us ?? 0) / 1000,
    tail: (leader?.commit_latency_p99_us ?? 0) / 1000,
    lags,
  };
  if (silent) tell('good', 'A server answers again');
  silent = false;
  for (const { tone, words } of changes(before, found)) tell(tone, words);
  // Who has not signed in is told by nobody else where the other servers are.
  connection.servers.learn(found.servers.map((server) => server.client_address).filter(Boolean));
  const at = connection.server.value;
  if (through && at && at !== through) tell('page', `This page goes on at ${at}`);
  through = at || through;
  samples.value = [...samples.value.filter((one) => now - one.at <= WINDOW_MS + 2000), sample];
  seenAt.value = now;
  status.value = found;
}
