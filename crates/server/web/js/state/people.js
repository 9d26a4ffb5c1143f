// Who is online, and what people like to be called. Presence is asked for now and then while the page is looked at.

import { signal } from '../preact.js';

const PAUSE_MS = 15000;
/** The answer names everybody: the more there are, the more seldom it is asked for, also where connections come and go. */
const LEAST_MS = 5000;
const LEAST_MS_EACH = 20;
/** So many are told at once (a bound of the servers), and of so many it is known. */
const PAGE = 200;
const MOST = 10000;

export class People {
  constructor(connection) {
    this.connection = connection;
    /** The names of those who are online, in small letters. */
    this.online = signal(new Set());
    /** Those who are shown by another name than their own: by their names, in small letters. */
    this.met = new Map();
    this.lastLook = 0;
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
    if (this.connection.state.value !== 'online' || !this.connection.token) return;
    if (Date.now() - this.lastLook < Math.max(LEAST_MS, LEAST_MS_EACH * this.online.value.size)) return;
    this.lastLook = Date.now();
    try {
      const names = [];
      for (let after = 0; names.length < MOST; ) {
        const { accounts = [], more } = await this.connection.call('list_online', { limit: PAGE, after }, { once: true, patience: 8000 });
        names.push(...accounts.map((account) => this.learn(account).name.toLowerCase()));
        if (!more || accounts.length === 0) break;
        after = accounts.at(-1).account;
      }
      const now = this.online.value;
      if (names.length !== now.size || names.some((name) => !now.has(name))) this.online.value = new Set(names);
    } catch {
      // The next look will tell.
    }
  }

  learn(account) {
    const name = account.name.toLowerCase();
    this.met.delete(name);
    if (account.display_name) this.met.set(name, account);
    if (this.met.size > MOST) this.met.delete(this.met.keys().next().value);
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

  /** Accounts by a part of their names; and of those this page has met by a part of what they are called, for servers look only through names. */
  async search(pattern, limit = 20) {
    const { accounts = [] } = await this.connection.call('search_accounts', { pattern, limit });
    const found = accounts.map((account) => this.learn(account));
    const part = pattern.replaceAll('*', '').toLowerCase();
    const called = (account) => account.display_name.toLowerCase().includes(part) && !found.some((one) => one.account === account.account);
    const met = part ? [...this.met.values()].filter(called) : [];
    return [...found, ...met.map((account) => ({ ...account, online: this.isOnline(account.name) }))].slice(0, limit);
  }
}
