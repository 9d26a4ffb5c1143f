// Signing in, and making an account. On an empty cluster it says what to do.

import { html, useEffect, useRef, useState } from '../preact.js';
import { connection, signIn } from '../state/app.js';
import { Icon } from '../ui/icon.js';
import { Banner } from './banner.js';

const FIELDS = { name: 'sign-in-name', password: 'sign-in-password', again: 'sign-in-again' };

export function SignIn({ farewell }) {
  /** What the form is for; not before one has chosen, or has begun to fill it in: it does not change under one's hands. */
  const [how, setHow] = useState('');
  /** Nobody has an account here yet. */
  const [empty, setEmpty] = useState(false);
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [again, setAgain] = useState('');
  const [fault, setFault] = useState('');
  const [busy, setBusy] = useState(false);
  const first = useRef(null);
  const making = how ? how === 'register' : empty;
  const online = connection.state.value === 'online';
  useEffect(() => first.current?.focus(), [making]);
  useEffect(() => {
    if (online) connection.call('status', { local: true }).then((status) => setEmpty(Boolean(status.empty)), () => {});
  }, [online]);

  const submit = async (event) => {
    event.preventDefault();
    const wrong = check(making, name.trim(), password, again);
    setFault(wrong);
    if (wrong) return;
    setBusy(true);
    try {
      await signIn(making ? 'register' : 'login', name.trim(), password);
    } catch (error) {
      setFault(inWords(error));
      setBusy(false);
    }
  };
  const change = (to) => () => {
    setHow(to);
    setFault('');
  };

  return html`<div class="sign-in">
    <main class="card" id="main">
      <div class="wordmark"><${Icon} name="logo" size=${26} /> Threefold</div>
      <h1>${making ? 'Make an account' : 'Sign in'}</h1>
      ${empty && html`<p class="soft" role="status">Nobody has an account here yet. Whoever makes the first one is the administrator.</p>`}
      ${farewell && html`<p class="soft" role="status">${farewell}</p>`}
      <${Banner} />
      <form onSubmit=${submit} onInput=${() => setHow(making ? 'register' : 'login')} novalidate>
        <div class="field">
          <label for=${FIELDS.name}>Name</label>
          <input ref=${first} id=${FIELDS.name} class="input" name="username" autocomplete="username" autocapitalize="none" spellcheck=${false} maxlength="32" required
            value=${name} onInput=${(event) => setName(event.target.value)} />
          ${making && html`<span class="hint">Letters, digits and _ . - · people find you by it</span>`}
        </div>
        <div class="field">
          <label for=${FIELDS.password}>Password</label>
          <input id=${FIELDS.password} class="input" type="password" name="password" autocomplete=${making ? 'new-password' : 'current-password'} required
            value=${password} onInput=${(event) => setPassword(event.target.value)} />
          ${making && html`<span class="hint">At least 8 characters</span>`}
        </div>
        ${making &&
        html`<div class="field">
          <label for=${FIELDS.again}>Password, again</label>
          <input id=${FIELDS.again} class="input" type="password" name="password-again" autocomplete="new-password" required
            value=${again} onInput=${(event) => setAgain(event.target.value)} />
        </div>`}
        <p class="fault" role="alert">${fault}</p>
        <button class="button main" type="submit" disabled=${busy}>${busy ? 'One moment …' : making ? 'Make the account' : 'Sign in'}</button>
      </form>
      <p class="soft small">
        ${making
          ? html`Have an account? <button class="link-button" onClick=${change('login')}>Sign in</button>`
          : html`New here? <button class="link-button" onClick=${change('register')}>Make an account</button>`}
        ${' · '}<a href="#/cluster">The cluster${connection.condition.value.state === 'normal' ? '' : `: ${connection.condition.value.state}`}</a>
      </p>
    </main>
  </div>`;
}

function check(making, name, password, again) {
  if (!name || !password) return 'Both a name and a password are needed.';
  if (!making) return '';
  if (!/^[\p{L}\p{N}_.-]{1,32}$/u.test(name)) return 'A name has 1 to 32 letters, digits, and _ . -';
  if ([...password].length < 8) return 'A password has at least 8 characters.';
  return password === again ? '' : 'The two passwords are not the same.';
}

function inWords(error) {
  if (error.code === 'wrong_credential') return 'Unknown name, or wrong password.';
  if (error.code === 'name_taken') return 'This name is taken. Try another one.';
  if (error.code === 'rate_limited') return `Too many tries. Wait ${Math.ceil((error.retryAfter || 1000) / 1000)} seconds.`;
  return error.message;
}
