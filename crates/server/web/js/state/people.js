// Who is online, and what people like to be called. Presence is asked for now and then while the page is looked at.

import { signal } from '../preact.js';

const PAUSE_MS = 15000;
/** The answer names everybody: the more there are, the more seldom it is asked for, also where connections come and go. */
const LEAST_MS = 5000;
const LEAST_MS_EACH = 20;

export class People {
  constructor(connection) {
    this.connection = connection;
    /** The names of those who are online, in small letters. */
    this.online = signal(new Set());
    this.displays = new Map();
    this.lastLook = 0;
    setInterval(() => document.visibilityState === 'visible' && this.look(), PAUSE_MS);
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible' && Date.now() - this.lastLook > PAUSE_MS) this.look();
    });
  }

  clear() {
    this.lastLook = 0;
    this.online.value = new Set();
    this.displays.clear();
  }

  async look() {
    if (this.connection.state.value !== 'online' || !this.connection.token) return;
    if (Date.now() - this.lastLook < Math.max(LEAST_MS, LEAST_MS_EACH * this.online.value.size)) return;
    this.lastLook = Date.now();
    try {
      const reply = await this.connection.call('list_online', {}, { once: true, patience: 8000 });
      const names = (reply.accounts ?? []).map((account) => this.learn(account).name.toLowerCase());
      const now = this.online.value;
      if (names.length !== now.size || names.some((name) => !now.has(name))) this.online.value = new Set(names);
    } catch {
      // The next look will tell.
    }
  }

  learn(account) {
    if (account.display_name) this.displays.set(account.name.toLowerCase(), account.display_name);
    return account;
  }

  isOnline(name) {
    return this.online.value.has((name ?? '').toLowerCase());
  }

  display(name) {
    return this.displays.get((name ?? '').toLowerCase()) || name;
  }

  /** Accounts by a part of the name. */
  async search(pattern, limit = 20) {
    const reply = await this.connection.call('search_accounts', { pattern, limit });
    return (reply.accounts ?? []).map((account) => this.learn(account));
  }
}
