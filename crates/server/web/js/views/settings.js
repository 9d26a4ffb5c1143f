// Oneself: how the page looks, what one is called, the password, the devices that are signed in, and the end.

import { html, useEffect, useState } from '../preact.js';
import { tally } from '../net/outbox.js';
import { act, connection, deleteAccount, me, outbox, signOut } from '../state/app.js';
import { chooseTheme, theme } from '../state/look.js';
import { possible, switchOff, switchOn, wanted } from '../state/notifications.js';
import { fullTime } from '../text/time.js';
import { Avatar } from '../ui/avatar.js';
import { Dialog, ask, open } from '../ui/dialog.js';
import { say } from '../ui/toast.js';
import { Page } from './page.js';

export function Settings() {
  return html`<${Page} title="Settings">
    <${Profile} />
    <${Look} />
    <${Notifications} />
    <${Keys} />
    <${Sessions} />
    <${Password} />
    ${me.value.administrator && html`<section class="card"><h2>Administration</h2><p>Accounts, and what was done to them. <a href="#/admin">Open</a></p></section>`}
    <section class="card stack" aria-labelledby="the-end"><h2 id="the-end">Leave</h2>
      <div class="row" style=${{ flexWrap: 'wrap' }}><button class="button" onClick=${leaveHere}>Sign out</button>
      <button class="button danger" onClick=${() => open((close) => html`<${DeleteAccount} close=${close} />`)}>Delete the account …</button></div></section>
  <//>`;
}

async function leaveHere() {
  const waiting = tally(outbox.unsent());
  const words = waiting ? `${waiting} not sent yet, and would be lost.` : 'Drafts that are kept in this browser go.';
  if (await ask({ title: 'Sign out?', words, action: 'Sign out', danger: waiting })) signOut();
}

function Profile() {
  const [display, setDisplay] = useState(me.value.display);
  const submit = async (event) => {
    event.preventDefault();
    const chosen = display.trim();
    if (await act({ set_display_name: { display_name: chosen } })) {
      me.value = { ...me.value, display: chosen };
      say('Saved.');
    }
  };
  return html`<form class="card stack" onSubmit=${submit} aria-labelledby="profile">
    <div class="row" style=${{ gap: '1rem' }}><${Avatar} name=${me.value.display || me.value.name} by=${me.value.name} size="large" /><div
      class="grow"><h2 id="profile" class="cut"><bdi>${me.value.display || me.value.name}</bdi></h2><p class="soft cut">@${me.value.name}</p></div></div>
    <div class="field"><label for="display">Name that is shown</label>
      <div class="row"><input id="display" class="input" maxlength="64" autocomplete="nickname" dir="auto" value=${display}
        onInput=${(event) => setDisplay(event.target.value)} /><button class="button" type="submit"
        disabled=${display.trim() === me.value.display}>Save</button></div></div>
  </form>`;
}

function Look() {
  const choices = { system: 'As the system', light: 'Light', dark: 'Dark' };
  return html`<section class="card" aria-labelledby="look"><h2 id="look">Look</h2><div class="tabs" role="group" aria-labelledby="look">
    ${Object.entries(choices).map(([choice, words]) => html`<button key=${choice} aria-pressed=${theme.value === choice ? 'true' : 'false'}
      onClick=${() => chooseTheme(choice)}>${words}</button>`)}
  </div></section>`;
}

function Notifications() {
  const change = async (event) => {
    if (!event.target.checked) switchOff();
    else if (!(await switchOn())) say('The browser does not let this page notify.');
  };
  return html`<section class="card" aria-labelledby="notifications"><h2 id="notifications">Notifications</h2>
    <label class="check"><input type="checkbox" checked=${wanted.value} disabled=${!possible()} onChange=${change} />
      <span>Tell me of direct messages and mentions while I look elsewhere${!possible() && html`<br /><span
      class="soft small">This browser, or this address, has no notifications.</span>`}</span></label>
  </section>`;
}

const KEYS = `Enter|send; with Shift, a new line
↑|in an empty field: edit what you said last
@ :|complete a name, an emoji
Escape|stop editing or answering
Tab|from part to part; with Shift, back
↑, ↓, End|in the list: from message to message, the newest
r, x, e|on a message: answer, react, edit
Enter|on a message: all that can be done with it
Delete|on a message: delete it for you; with Shift, for everyone`;

function Keys() {
  return html`<section class="card" aria-labelledby="keys"><h2 id="keys">Keys</h2><dl class="keys">
    ${KEYS.split('\n').map((line) => line.split('|')).map(([keys, words]) => html`<dt><kbd>${keys}</kbd></dt><dd>${words}</dd>`)}
  </dl></section>`;
}

function Sessions() {
  const [list, setList] = useState(null);
  const load = () => connection.call('list_sessions').then((reply) => setList(reply.sessions ?? []), (error) => say(error.message));
  useEffect(() => {
    load();
  }, []);
  const end = async (sessions) => {
    for (const one of sessions) {
      try {
        await connection.call('end_session', { session: one.session });
      } catch (error) {
        if (error.code !== 'unknown_session') say(error.message);
      }
    }
    load();
  };
  const others = list?.filter((one) => !one.current) ?? [];
  return html`<section class="card" aria-labelledby="sessions"><h2 id="sessions">Devices that are signed in</h2>
    <ul class="list" aria-busy=${list ? undefined : 'true'}>${list?.map((one) => html`<li key=${one.session}>
      <span class="grow"><bdi class="cut block strong">${one.device}</bdi><span
        class="soft small">since ${fullTime(one.opened_at_ms)}</span></span>
      ${one.current ? html`<span class="tag accent">this one</span>` : html`<button class="button slim" aria-label=${`Sign out ${one.device}`}
        onClick=${() => end([one])}>Sign out</button>`}
    </li>`)}</ul>
    ${others.length > 1 && html`<button class="button" style=${{ marginTop: '.5rem' }} onClick=${() => end(others)}>Sign out all others</button>`}
  </section>`;
}

function Password() {
  const [old, setOld] = useState('');
  const [fresh, setFresh] = useState('');
  const [fault, setFault] = useState('');
  const submit = async (event) => {
    event.preventDefault();
    if ([...fresh].length < 8) {
      setFault('A password has at least 8 characters.');
      return;
    }
    setFault('');
    try {
      await connection.call('change_password', { old_password: old, new_password: fresh }, { once: true });
      setOld('');
      setFresh('');
      say('The password is changed. Other devices were signed out.');
    } catch (error) {
      setFault(error.code === 'wrong_credential' ? 'The old password is wrong.' : error.message);
    }
  };
  return html`<form class="card stack" onSubmit=${submit} aria-labelledby="password" novalidate><h2 id="password">Password</h2>
    <input type="text" name="username" autocomplete="username" value=${me.value.name} hidden />
    <div class="field"><label for="old">Old password</label><input id="old" class="input" type="password" autocomplete="current-password" value=${old}
      onInput=${(event) => setOld(event.target.value)} /></div>
    <div class="field"><label for="fresh">New password</label><input id="fresh" class="input" type="password" autocomplete="new-password"
      value=${fresh} onInput=${(event) => setFresh(event.target.value)} /><span
      class="hint">At least 8 characters. All other devices are signed out.</span></div>
    <p class="fault" role="alert">${fault}</p>
    <div><button class="button" type="submit" disabled=${!old || !fresh}>Change the password</button></div>
  </form>`;
}

function DeleteAccount({ close }) {
  const [password, setPassword] = useState('');
  const [fault, setFault] = useState('');
  const submit = async (event) => {
    event.preventDefault();
    try {
      await deleteAccount(password);
    } catch (error) {
      setFault(error.code === 'wrong_credential' ? 'The password is wrong.' : error.message);
    }
  };
  return html`<${Dialog} title="Delete the account" onClose=${close}><form class="stack" onSubmit=${submit}>
    <p>This is for ever. What others received stays with them, as from a deleted user. The name is not given to anybody else.</p>
    <div class="field"><label for="confirm">Password</label><input id="confirm" class="input" type="password" autocomplete="current-password"
      value=${password} onInput=${(event) => setPassword(event.target.value)} /></div>
    <p class="fault" role="alert">${fault}</p>
    <div class="dialog-foot"><button class="button" type="button" onClick=${close}>Cancel</button><button class="button danger" type="submit"
      disabled=${!password}>Delete for ever</button></div>
  </form><//>`;
}
