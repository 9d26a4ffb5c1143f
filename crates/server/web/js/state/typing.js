// Who is typing where; and saying so of oneself, now and then. Nothing of it is kept.

import { signal } from '../preact.js';

const SHOWN_MS = 6000;
const SAID_EVERY_MS = 2500;
/** The servers pass on no more than one a second; this is a little longer. */
const PASSED_ON_EVERY_MS = 1100;

export class Typing {
  constructor(connection, me) {
    this.connection = connection;
    this.me = me;
    /** conversation -> [{account, name, until}] */
    this.who = signal(new Map());
    this.due = 0;
    this.timer = 0;
    this.where = null;
  }

  /** `last`: the newest message there; a notice that is older than a message of theirs says nothing any more. */
  hear({ conversation, account, account_name: name, position = 0 }, last) {
    if (account === this.me.value?.account || (last?.author === account && last.id > position)) return;
    this.set(conversation, [...this.others(conversation, account), { account, name, until: Date.now() + SHOWN_MS }]);
    setTimeout(() => this.set(conversation, this.of(conversation)), SHOWN_MS + 50);
  }

  /** A message of theirs has come. */
  ended({ conversation, author }) {
    if (this.who.value.has(conversation)) this.set(conversation, this.others(conversation, author));
  }

  others(conversation, account) {
    return this.of(conversation).filter((one) => one.account !== account);
  }

  of(conversation) {
    return (this.who.value.get(conversation) ?? []).filter((one) => one.until > Date.now());
  }

  set(conversation, list) {
    const next = new Map(this.who.value);
    if (list.length) next.set(conversation, list);
    else next.delete(conversation);
    this.who.value = next;
  }

  /** A key was pressed in the composer. Said at once if it is time for it, else when it is. */
  say(recipient) {
    this.where = recipient;
    this.timer ||= setTimeout(() => {
      this.timer = 0;
      this.due = Date.now() + SAID_EVERY_MS;
      this.connection.say({ typing: { in: this.where } });
    }, Math.max(0, this.due - Date.now()));
  }

  /** What was typed has been sent: the next key is news again, as soon as the servers pass it on. */
  rest() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.due = Date.now() + PASSED_ON_EVERY_MS;
  }
}
