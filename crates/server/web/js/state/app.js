// The one instance of each part, wired together: what comes from the connection goes to the stores, and what people do goes to the
// outbox. Signing in and out is here, because it concerns them all.

import { signal, batch } from '../preact.js';
import { Connection } from '../net/connection.js';
import { Outbox } from '../net/outbox.js';
import { forgetAll, onChangedElsewhere, randomHex, recall, remember } from '../net/storage.js';
import { Chats } from './chats.js';
import { People } from './people.js';
import { Typing } from './typing.js';
import { notify } from './notifications.js';
import { forgetful, say } from '../ui/toast.js';

/** 'starting', 'out', 'in' */
export const phase = signal('starting');
/** Who is signed in: {account, name, display, administrator, session}. */
export const me = signal(null);
/** Grows when what was heard so far does not lead to what is: after a long absence, or when the cluster has another history. */
export const anew = signal(0);
/** Why one is signed out, if not by one's own will. */
export const farewell = signal('');

export const connection = new Connection({ ready, frame, ended, awaits: () => outbox.lanes.some((lane) => lane.writes.length > 0) });
export const outbox = new Outbox(connection, settled, forgetful, say);
export const people = new People(connection);
export const chats = new Chats(connection, me, people);
export const typing = new Typing(connection, me);

const listeners = new Set();
/** Hears of every event that is shown somewhere besides the list: `listener(event)`. */
export function onEvent(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Begins: with the session of last time, if there is one. */
export function begin() {
  enter();
  onChangedElsewhere('session', follow);
  addEventListener('pageshow', (event) => event.persisted && follow());
}

/** Another tab signed in or out, or learnt something. The page stays: the server that gave it out may be dead. */
function follow() {
  const session = recall('session');
  if (session?.token && session.token === connection.token) {
    me.value = { ...me.value, display: session.display ?? '' };
  } else if (session || phase.value === 'in') {
    rest('');
    enter();
  }
}

function enter() {
  const session = recall('session');
  if (session?.token && session.name) {
    me.value = { account: session.account, name: session.name, display: session.display ?? '', administrator: false };
    phase.value = 'in';
    connection.token = session.token;
    outbox.start();
    connection.start(session.token);
  } else {
    phase.value = 'out';
    connection.start();
  }
}

/** `how`: 'login' or 'register'. A retry after a failure shows the same token, and is recognised by it. */
let attempt = null;
export async function signIn(how, name, password) {
  const same = attempt && attempt.how === how && attempt.name === name && attempt.password === password;
  attempt = same ? attempt : { how, name, password, token: randomHex(32) };
  const request = { name, password, token: attempt.token, device: deviceName() };
  const reply = await connection.call(how, request);
  connection.token = attempt.token;
  attempt = null;
  farewell.value = '';
  me.value = { account: reply.account, name: reply.name, display: '', administrator: false, session: reply.session };
  // What somebody else has left in this browser goes. Another cluster may give its accounts the same numbers.
  const owner = `${reply.account} ${reply.name}`;
  if (recall('owner') !== owner) forgetAll();
  remember('owner', owner);
  remember('session', { token: connection.token, account: reply.account, name: reply.name });
  outbox.start(reply.instance);
  phase.value = 'in';
  connection.subscribeFrom(reply.position);
  connection.bound(reply, false);
  connection.call('who_am_i').then(identified, () => {});
}

function deviceName() {
  const agent = navigator.userAgent;
  const browser = /Edg\//.test(agent) ? 'Edge' : /Firefox\//.test(agent) ? 'Firefox' : /Chrome\//.test(agent) ? 'Chrome' : /Safari\//.test(agent) ? 'Safari' : 'a browser';
  const system = /Android/.test(agent) ? 'Android' : /iPhone|iPad/.test(agent) ? 'iOS' : /Mac/.test(agent) ? 'macOS' : /Windows/.test(agent) ? 'Windows' : 'Linux';
  return `${browser} on ${system}`;
}

function identified(identity) {
  const { account, name, session } = identity;
  me.value = { account, name, session, display: identity.display_name ?? '', administrator: Boolean(identity.administrator) };
  const kept = recall('session');
  const next = kept && { ...kept, account, name, display: identity.display_name ?? '' };
  if (kept && JSON.stringify(kept) !== JSON.stringify(next)) remember('session', next);
}

/** A connection has its session. */
function ready(identity, resumed) {
  batch(() => {
    if (identity.device !== undefined || identity.display_name !== undefined || identity.administrator !== undefined) identified(identity);
    outbox.begin();
    if (!resumed) {
      if (chats.loaded.value) anew.value += 1;
      chats.load(identity.position);
    }
    people.look();
  });
}

function frame(frame) {
  if (frame.event) {
    apply(frame.event);
  } else if (frame.result) {
    outbox.hear(frame.result);
  } else if (frame.typing) {
    typing.hear(frame.typing, chats.get(frame.typing.conversation)?.last);
  } else if (frame.error?.code === 'invalid') {
    outbox.nonsense(frame.error);
  }
}

function apply(event) {
  const body = event.body ?? {};
  batch(() => {
    chats.apply(event);
    if (body.message) {
      typing.ended(body.message);
      people.heard(body.message);
    }
    for (const listener of listeners) listener(event);
  });
  if (body.message && connection.live) notify(body.message, me.value, chats);
}

/** A write has been answered. */
function settled(write, result) {
  const { send } = write.operation;
  if (send && result.sent) {
    const message = {
      id: result.sent.id,
      time_ms: result.sent.time_ms,
      conversation: result.sent.conversation,
      author: me.value.account,
      author_name: me.value.name,
      author_display_name: me.value.display,
      body: send.body ?? '',
      reply_to: send.reply_to ?? 0,
      attachments: write.note?.files ?? [],
      mentions: [],
      peer_name: send.to.user ?? write.note?.peer ?? '',
      key: write.note?.key,
    };
    chats.sent(message, write.note);
    for (const listener of listeners) listener({ id: message.id, body: { sent: message } });
  }
}

/** Has something done, exactly once; a refusal is said to the person, unless the caller wants it. */
export async function act(operation, { quiet = false, note } = {}) {
  try {
    return await outbox.write(operation, note);
  } catch (error) {
    if (quiet) throw error;
    say(error.message || 'It was refused.');
    return null;
  }
}

const FIND_OUT_AGAIN_MS = 5000;
/** Whether the end of the session is the account's. */
let deleting = false;
export async function deleteAccount(password) {
  const { token } = connection;
  deleting = true;
  try {
    await connection.call('delete_account', { password }, { once: true });
  } catch (error) {
    // The end of the session may have come before this.
    deleting = error.code === 'unavailable' && connection.token === token;
    if (deleting) findOut();
    throw error;
  }
  leave('The account is deleted.');
}

/** Whether it was done is not known until the session ends, or a server that is not behind says that the account is there. */
function findOut() {
  connection.call('who_am_i', { consistent: true }).then(
    // A deleted account has no name.
    ({ name }) => {
      deleting = !name;
    },
    () => deleting && setTimeout(findOut, FIND_OUT_AGAIN_MS),
  );
}

export async function signOut() {
  try {
    await connection.call('logout', {}, { once: true, patience: 3000 });
  } catch {
    // The session stays at the servers until it expires; this browser forgets it in any case.
  }
  leave('');
}

/** The servers do not know the session any more. Drafts, and what was not sent, stay for when the same person signs in again. */
function ended(error, token) {
  // Another tab may have signed in again.
  const kept = recall('session');
  if (kept && kept.token !== token) {
    follow();
    return;
  }
  if (deleting && error.code !== 'account_disabled') {
    leave('The account is deleted.');
    return;
  }
  remember('session', null);
  rest(error.code === 'account_disabled' ? 'An administrator has disabled this account.' : 'This session has ended. Sign in again.');
}

/** By one's own will: this browser forgets everything. */
export function leave(why) {
  rest(why);
  forgetAll();
}

function rest(why) {
  deleting = false;
  connection.stop();
  outbox.stop();
  batch(() => {
    chats.clear();
    people.clear();
    me.value = null;
    farewell.value = why;
    phase.value = 'out';
  });
  location.hash = '';
  connection.start();
}
