// Who is online, and what people like to be called. Presence is asked for now and then while the page is looked at.

import { signal } from '../preact.js';

const PAUSE_MS = 15000;
/** The answers name everybody: the more there are, the more seldom they are asked for, also where connections come and go. */
const LEAST_MS = 5000;
const LEAST_MS_EACH = 100;
/** So many are told at once (a bound of the servers), and of so many it is known. */
const PAGE = 200;
const MOST = 2000;
/** So many display names are known; and so many of those that match are asked for. */
const MOST_MET = 10000;
const MOST_CALLED = 8;

export class People {
  constructor(connection) {
    this.connection = connection;
    /** The names of those who are online, in small letters. */
    this.online = signal(new Set());
    /** Those who are shown by another name than their own: by their names, in small letters. */
    this.met = new Map();
    this.lastLook = 0;
    this.looking = false;
    setInterval(() => document.visibilityState === 'visible' && this.look(), PAUSE_MS);
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible' && Date.now() - this.lastLook > PAUSE_MS) this.look();
    });
  }

  clear() {
    this.lastLook = 0;
    this.online.value = new Set();
    this.met.clear();
  }

  async look() {
    if (this.looking || this.connection.state.value !== 'online' || !this.connection.token) return;
    if (Date.now() - this.lastLook < Math.max(LEAST_MS, LEAST_MS_EACH * this.online.value.size)) return;
    this.lastLook = Date.now();
    this.looking = true;
    try {
      const names = [];
      for (let after = 0; names.length < MOST; ) {
        const { accounts = [], more } = await this.connection.call('list_online', { limit: PAGE, after }, { once: after === 0, patience: 8000 });
        names.push(...accounts.map((account) => this.learn(account).name.toLowerCase()));
        if (!more || accounts.length === 0) break;
        after = accounts.at(-1).account;
      }
      const now = this.online.value;
      if (names.length !== now.size || names.some((name) => !now.has(name))) this.online.value = new Set(names);
    } catch {
      // The next look will tell.
    } finally {
      this.looking = false;
    }
  }

  learn(account) {
    const name = account.name.toLowerCase();
    this.met.delete(name);
    if (account.display_name) this.met.set(name, account);
    if (this.met.size > MOST_MET) this.met.delete(this.met.keys().next().value);
    return account;
  }

  /** A message says what its author is called. */
  heard({ author: account, author_name: name, author_display_name: display }) {
    if (name && display !== this.met.get(name.toLowerCase())?.display_name) this.learn({ account, name, display_name: display });
  }

  isOnline(name) {
    return this.online.value.has((name ?? '').toLowerCase());
  }

  display(name) {
    return this.met.get((name ?? '').toLowerCase())?.display_name || name;
  }

  /** Accounts by a part of their names. */
  async search(pattern, limit = 20) {
    const { accounts = [] } = await this.connection.call('search_accounts', { pattern, limit });
    return accounts.map((account) => this.learn(account));
  }

  /** The same, and a few of those that this page has met by a part of what they are called, for servers look only through names. What those are now,
   * and whether they still are, is asked for. */
  async find(part, limit) {
    const wanted = part.toLowerCase();
    const met = [...this.met].filter(([name, { display_name: display }]) => wanted && !name.includes(wanted) && display.toLowerCase().includes(wanted));
    const called = met.slice(-MOST_CALLED).map(async ([name]) => {
      const [first] = await this.search(`${name}*`, 1);
      if (first?.name.toLowerCase() === name) return first;
      this.met.delete(name);
      return null;
    });
    const [found, ...others] = await Promise.all([this.search(part, limit), ...called]);
    const known = others.filter(Boolean);
    return [...found.slice(0, Math.max(limit - known.length, Math.ceil(limit / 2))), ...known].slice(0, limit);
  }
}
