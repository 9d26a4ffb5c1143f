// For administrators: the accounts, what may be done to them, and what was done by whom.

import { html, useEffect, useState } from '../preact.js';
import { act, connection, me } from '../state/app.js';
import { fullTime } from '../text/time.js';
import { Dialog, ask, open } from '../ui/dialog.js';
import { Icon } from '../ui/icon.js';
import { menuItems, openPopup } from '../ui/popup.js';
import { usePages } from '../ui/pages.js';
import { say } from '../ui/toast.js';
import { Page } from './page.js';
import { PersonRow } from './person_row.js';

export function Admin() {
  const [changes, setChanges] = useState(0);
  if (!me.value.administrator) return html`<${Page} title="Administration"><p>This page is for administrators.</p><//>`;
  const changed = () => setChanges((count) => count + 1);
  return html`<${Page} title="Administration"><${Accounts} changes=${changes} changed=${changed} /><${Acts} changes=${changes} /><//>`;
}

function Accounts({ changes, changed }) {
  const [query, setQuery] = useState('');
  const load = async (last) => {
    const { accounts = [], more } = await connection.call('search_accounts', { pattern: query.trim(), limit: 50, after: last?.name });
    return { list: accounts, more };
  };
  const [page, more] = usePages(load, query, [query, changes]);
  return html`<section class="card" aria-labelledby="accounts"><h2 id="accounts">Accounts</h2>
    <input class="input" type="search" placeholder="Find an account" aria-label="Find an account" value=${query} onInput=${(event) => setQuery(event.target.value)} />
    <ul class="list" aria-label="Accounts">${page?.list.map((account) => html`<${PersonRow} key=${account.account} account=${account}>
      ${account.disabled && html`<span class="tag danger">disabled</span>`}${account.administrator && html`<span class="tag accent">administrator</span>`}
      <button class="icon-button" aria-label=${`What to do with ${account.name}`}
        onClick=${(event) => openPopup(event.currentTarget, account.name, (close) => html`<${Menu} account=${account} close=${close} changed=${changed} />`, { menu: true })}>
        <${Icon} name="more" size=${18} /></button>
    <//>`)}</ul>
    <div class="row">${page?.more && html`<button class="button" onClick=${more}>Show more</button>`}
      <button class="button" onClick=${() => open((done) => html`<${FreeName} close=${done} changed=${changed} />`)}>Free a name …</button></div>
  </section>`;
}

function Menu({ account, close, changed }) {
  const { name } = account;
  const self = account.account === me.value.account;
  const perform = async (action) => {
    if (await act({ administer: { name, action } })) changed();
  };
  const item = menuItems(close);
  const sure = (title, words, action, named) => async () => {
    if (await ask({ title, words, action: named, danger: true })) perform(action);
  };
  return html`
    ${item('lock', 'Give another password …', () => open((done) => html`<${ResetPassword} name=${name} close=${done} perform=${perform} />`))}
    ${!account.administrator && item('shield', 'Make an administrator', () => perform({ grant: {} }))}
    ${account.administrator && !self && item('shield', 'No longer an administrator', () => perform({ revoke: {} }))}
    ${account.disabled && item('check', 'Let sign in again', () => perform({ enable: {} }))}
    ${!account.disabled && !self && item('close', 'Disable', sure(`Disable ${name}?`, 'They are signed out everywhere and cannot sign in until you allow it.', { disable: {} }, 'Disable'), true)}
    ${!self && item('trash', 'Delete', sure(`Delete ${name} for ever?`, 'What others received from them stays, as from a deleted user.', { delete: {} }, 'Delete'), true)}`;
}

function FreeName({ close, changed }) {
  const [name, setName] = useState('');
  const submit = async (event) => {
    event.preventDefault();
    close();
    if (!(await act({ administer: { name: name.trim(), action: { free_name: {} } } }))) return;
    say(`Whoever likes may be called ${name.trim()} now.`);
    changed();
  };
  return html`<${Dialog} title="Free a name" onClose=${close}><form class="stack" onSubmit=${submit}>
    <div class="field"><label for="freed">Name of a deleted account</label><input id="freed" class="input" autocomplete="off" maxlength="32"
      value=${name} onInput=${(event) => setName(event.target.value)} /><span
      class="hint">Somebody else may take it then. What was written under it stays as from a deleted user.</span></div>
    <div class="dialog-foot"><button class="button" type="button" onClick=${close}>Cancel</button><button class="button main" type="submit"
      disabled=${!name.trim()}>Free it</button></div>
  </form><//>`;
}

function ResetPassword({ name, close, perform }) {
  const [password, setPassword] = useState('');
  const submit = (event) => {
    event.preventDefault();
    close();
    perform({ reset_password: { new_password: password } });
  };
  return html`<${Dialog} title=${`Another password for ${name}`} onClose=${close}><form class="stack" onSubmit=${submit}>
    <div class="field"><label for="reset">New password</label><input id="reset" class="input" type="password" autocomplete="new-password"
      value=${password} onInput=${(event) => setPassword(event.target.value)} /><span
      class="hint">At least 8 characters. They are signed out everywhere.</span></div>
    <div class="dialog-foot"><button class="button" type="button" onClick=${close}>Cancel</button><button class="button main" type="submit"
      disabled=${[...password].length < 8}>Set it</button></div>
  </form><//>`;
}

const WHAT = { disabled: 'disabled', enabled: 'enabled', password_reset: 'gave another password to', deleted: 'deleted', name_freed: 'freed the name', granted: 'made an administrator of', revoked: 'took the administration from' };

function Acts({ changes }) {
  const [acts, setActs] = useState(null);
  useEffect(() => {
    connection.call('list_administration', { limit: 50 }).then((reply) => setActs(reply.acts ?? []), () => setActs([]));
  }, [changes]);
  return html`<section class="card" aria-labelledby="acts"><h2 id="acts">What was done</h2>
    <ul class="list" aria-busy=${acts ? undefined : 'true'}>${acts?.map((act) => html`<li key=${act.position}><span class="grow"><bdi><strong>
      ${act.by_name || 'a deleted user'}</strong></bdi> ${WHAT[act.what] ?? act.what} <bdi><strong>${act.name}</strong></bdi>
      ${act.by_configuration ? ' (by a server’s configuration)' : ''}</span><time class="soft small">${fullTime(act.time_ms)}</time></li>`)}</ul>
    ${acts?.length === 0 && html`<p class="soft">Nothing yet.</p>`}
  </section>`;
}

