// The servers of the cluster: the one this page came from, and those the servers tell of. Which to try next, and when.

import { recall, remember } from './storage.js';

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

export class Servers {
  constructor(own = location.host) {
    this.own = own;
    this.told = recall('servers', []).filter((address) => typeof address === 'string');
    this.place = 0;
    this.failures = 0;
  }

  /** All addresses, that of this page first. */
  all() {
    return [...new Set([this.own, ...this.told])];
  }

  current() {
    const all = this.all();
    return all[this.place % all.length];
  }

  /** The servers have told who they are. */
  learn(addresses) {
    if (!Array.isArray(addresses) || addresses.length === 0) return;
    const current = this.current();
    // `localhost:7400` and `127.0.0.1:7400` are one server: the page's own address stands for it.
    this.told = addresses.filter((address) => alike(address) !== alike(this.own));
    this.place = Math.max(0, this.all().indexOf(current));
    remember('servers', this.told);
  }

  succeeded() {
    this.failures = 0;
  }

  /** How many times longer than at first to wait for one. */
  patience(most) {
    return Math.min(most, 2 ** Math.floor(this.failures / this.all().length));
  }

  /** Goes on to the next server; says how long to wait before trying it. */
  failed() {
    const count = this.all().length;
    this.place = (this.place + 1) % count;
    this.failures += 1;
    // Everyone is tried once at once; after that with growing pauses, and some chance in them.
    const round = Math.floor(this.failures / count);
    if (round === 0) return this.failures === 1 ? 0 : FIRST_PAUSE_MS * Math.random();
    return Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** round) * (0.6 + 0.4 * Math.random());
  }
}

/** The same for what is one server: people write `localhost` where the cluster writes `127.0.0.1`, and browsers leave the usual port out. */
export function alike(address) {
  const usual = location.protocol === 'https:' ? /:443$/ : /:80$/;
  return address.replace(/^(localhost|\[::1\])(?=:|$)/, '127.0.0.1').replace(usual, '').toLowerCase();
}

/** The address of a WebSocket, or of a plain request, at a server. */
export function address(server, path, scheme = 'ws') {
  const secure = location.protocol === 'https:';
  return `${scheme}${secure ? 's' : ''}://${server}${path}`;
}
