// The chat page, feature by feature: people in browsers of their own, on different servers of one cluster.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { test } from 'node:test';
import { PASSWORD, accessible, faults, open, register, shot, signIn } from './lib/browser.mjs';
import { until } from './lib/wait.mjs';
import { PNG, act, composer, goTo, knowsRoom, knowsUser, menu, message, send, settled, texts } from './lib/chat.mjs';
import { stage } from './lib/stage.mjs';

const TIMEOUT = { timeout: 180_000 };
let cluster;
let browser;
let ann;
let bob;

stage(async (there) => {
  ({ cluster, browser } = there);
  ann = await open(browser, cluster.url('server-1'));
});

test('an empty cluster says what to do', TIMEOUT, async () => {
  await ann.getByRole('heading', { name: 'Make an account' }).waitFor();
  await ann.getByText('Whoever makes the first one is the administrator').waitFor();
  await accessible(ann, 'an empty cluster');
  await register(ann, 'ann');
  // Whoever comes next is not told so.
  bob = await open(browser, cluster.url('server-2'));
  await bob.getByRole('heading', { name: 'Sign in' }).waitFor();
  await register(bob, 'bob');
  assert.equal(await bob.getByText('administrator').count(), 0);
  await ann.getByRole('heading', { name: 'Welcome, ann' }).waitFor();
  await ann.getByRole('main').getByRole('link', { name: 'Find somebody' }).waitFor();
  await ann.getByRole('link', { name: 'Make a room' }).waitFor();
  await accessible(ann, 'the first sight');
  await shot(ann, 'welcome');
});

test('two talk: found by name, delivered at once, read receipts, unread counts, presence', TIMEOUT, async () => {
  await knowsUser(ann, 'bob');
  await ann.getByRole('link', { name: 'New conversation' }).click();
  await ann.getByLabel('With whom?').fill('bo');
  await ann.getByRole('list', { name: 'People' }).getByRole('link', { name: /bob/ }).click();
  await send(ann, 'Hello **Bob**, see https://example.org/a?b=1 and `code`');
  const entry = bob.getByRole('navigation', { name: 'Conversations' }).getByRole('link', { name: /^ann.*1 unread/ });
  await entry.waitFor();
  await until('the title says so', async () => (await bob.title()).startsWith('(1)'));
  await entry.click();
  const text = message(bob, 'Hello Bob');
  await text.waitFor();
  assert.equal(await text.locator('strong', { hasText: 'Bob' }).count(), 1);
  assert.equal(await text.locator('code').innerText(), 'code');
  const link = text.getByRole('link');
  assert.equal(await link.getAttribute('href'), 'https://example.org/a?b=1');
  assert.match(await link.getAttribute('rel'), /noopener/);
  await message(ann, 'Hello Bob').getByText('read', { exact: true }).waitFor({ state: 'attached' });
  await until('nothing is unread', async () => !(await bob.title()).startsWith('('));
  await send(bob, 'Hello Ann!');
  await message(ann, 'Hello Ann!').waitFor();
  await until('bob is online', async () => /online/.test(await ann.locator('.head').innerText()));
});

test('typing is shown, and is over with the message', TIMEOUT, async () => {
  await composer(bob).pressSequentially('I am writ');
  await ann.locator('.typing', { hasText: 'bob is typing' }).waitFor();
  await composer(bob).pressSequentially('ing');
  await composer(bob).press('Enter');
  await message(ann, 'I am writing').waitFor();
  await until('it is over', async () => (await ann.locator('.typing').innerText()) === '');
});

test('a reply, an edit, a reaction, and a deletion for everyone', TIMEOUT, async () => {
  await send(ann, 'Shall we have tea?');
  await act(bob, 'Shall we have tea?', 'Reply');
  await send(bob, 'Yes, at five.');
  await message(ann, 'Yes, at five.').getByRole('button', { name: /Answer to You: Shall we have tea/ }).waitFor();

  // What is on its way has no actions yet, and is not gone back to.
  await settled(bob);
  await composer(bob).press('ArrowUp');
  await until('the message is in the composer', async () => (await composer(bob).inputValue()) === 'Yes, at five.');
  await send(bob, 'Yes, at six.');
  await message(ann, 'Yes, at six.').getByText('edited').waitFor();
  assert.equal(await message(ann, 'Yes, at five.').count(), 0);

  await act(ann, 'Yes, at six.', 'React');
  await ann.getByRole('dialog', { name: 'Reactions' }).getByRole('button', { name: 'thumbsup' }).click();
  const reaction = message(bob, 'Yes, at six.').getByRole('button', { name: '👍 1' });
  await reaction.click();
  await message(ann, 'Yes, at six.').getByRole('button', { name: '👍 2, yours' }).waitFor();
  await menu(ann, 'Yes, at six.', 'Who reacted');
  await ann.getByRole('dialog', { name: 'Reactions' }).getByText('bob').waitFor();
  await ann.getByRole('button', { name: 'Close' }).click();

  await menu(ann, 'Shall we have tea?', 'Delete for everyone');
  await ann.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await message(bob, 'Message deleted').first().waitFor();
  assert.equal((await texts(bob)).includes('Shall we have tea?'), false);

  await send(bob, 'Only I shall see this');
  await message(ann, 'Only I shall see this').waitFor();
  await menu(ann, 'Only I shall see this', 'Delete for me');
  await ann.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await message(ann, 'Only I shall see this').waitFor({ state: 'detached' });
  assert.equal(await message(bob, 'Only I shall see this').count(), 1);
});

test('a room: made, found, joined, mentions completed, members led, left', TIMEOUT, async () => {
  await goTo(ann, 'rooms');
  await ann.getByLabel('Name', { exact: true }).fill('tea');
  await ann.getByLabel(/Topic/).fill('leaves and water');
  await ann.getByRole('button', { name: 'Make the room' }).click();
  await composer(ann).waitFor();
  await knowsRoom(bob, 'tea');
  await goTo(bob, 'rooms');
  await bob.getByRole('list', { name: 'Rooms' }).getByRole('link', { name: /tea/ }).click();
  await bob.getByRole('button', { name: 'Join' }).click();
  await composer(bob).waitFor();
  await ann.getByText('bob joined').waitFor();

  await goTo(bob, 'settings');
  await composer(ann).pressSequentially('hello @b');
  await ann.getByRole('option', { name: /bob/ }).waitFor();
  await ann.keyboard.press('Enter');
  await composer(ann).pressSequentially(':ted');
  await composer(ann).press('Escape');
  await ann.keyboard.press('Enter');
  const entry = bob.getByRole('navigation', { name: 'Conversations' }).getByRole('link', { name: /tea.*1 mention you.*1 unread/s });
  await entry.waitFor();
  await entry.click();
  await bob.locator('.mentions-me').getByRole('link', { name: '@bob' }).waitFor();
  // An author's name leads to them.
  await bob.locator('.mentions-me').getByRole('button', { name: 'ann', exact: true }).click();
  await bob.getByRole('dialog', { name: 'ann' }).getByRole('button', { name: 'Write to them' }).click();
  await bob.getByRole('heading', { name: 'ann', level: 1 }).waitFor();
  await goTo(bob, 'room/tea');
  await composer(bob).pressSequentially(':tad');
  await bob.getByRole('option', { name: /tada/ }).waitFor();
  await bob.keyboard.press('Tab');
  await bob.keyboard.press('Enter');
  await message(ann, '🎉').waitFor();

  await ann.getByRole('button', { name: 'Members and settings of the room' }).click();
  await ann.getByRole('complementary').getByText('owner').waitFor();
  await accessible(ann, 'a room with its panel');
  await ann.getByLabel('Topic').fill('only leaves');
  await ann.getByRole('button', { name: 'Save' }).click();
  await until('bob sees the topic', async () => /only leaves/.test(await bob.locator('.head').innerText()));
  await ann.getByRole('button', { name: 'What to do with bob' }).click();
  await ann.getByRole('menuitem', { name: 'Make a moderator' }).click();
  await bob.getByText('You are now a moderator').waitFor();
  await bob.getByRole('button', { name: 'Members and settings of the room' }).click();
  await bob.getByRole('button', { name: 'Leave the room' }).click();
  await bob.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
  await ann.getByText('bob left').waitFor();
  await ann.getByRole('button', { name: 'Close' }).click();
});

test('what a webhook posts: its author is a bot, and those who lead the room may take it back', TIMEOUT, async () => {
  const token = randomBytes(32).toString('hex');
  const hook = await ann.evaluate(async (token) => {
    const { chats, outbox } = await import('/js/state/app.js');
    const room = chats.room('tea').id;
    const { webhook_created: made } = await outbox.write({ create_webhook: { room: { conversation: room }, name: 'builds', token } });
    return { room, made };
  }, token);
  await goTo(ann, 'room/tea');
  await composer(ann).waitFor();
  const posted = await fetch(`${cluster.url()}hooks/${hook.made.webhook}/${token}`, { method: 'POST', body: JSON.stringify({ text: 'build 7 passed' }) });
  assert.equal(posted.status, 200, await posted.text());
  await message(ann, 'build 7 passed').waitFor();
  await message(ann, 'build 7 passed').getByRole('button', { name: 'builds', exact: true }).click();
  const profile = ann.getByRole('dialog', { name: 'builds' });
  await profile.getByText('bot of ann').waitFor();
  await accessible(ann, 'a profile');
  await ann.keyboard.press('Escape');
  await menu(ann, 'build 7 passed', 'Delete for everyone');
  await ann.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await message(ann, 'Message deleted').waitFor();
});

test('several messages are deleted together, and the focus stays in the list', TIMEOUT, async () => {
  await goTo(ann, 'room/tea');
  await composer(ann).waitFor();
  for (const text of ['one to go', 'two to go', 'one to stay']) await send(ann, text);
  await message(ann, 'one to stay').getByText('sent', { exact: true }).waitFor({ state: 'attached' });
  await menu(ann, 'one to go', 'Choose several');
  await message(ann, 'two to go').getByRole('checkbox').check();
  await message(ann, 'one to stay').getByRole('checkbox').check();
  await message(ann, 'one to stay').getByRole('checkbox').uncheck();
  const chosen = ann.getByRole('group', { name: 'Chosen messages' });
  await chosen.getByText('2 chosen').waitFor();
  await accessible(ann, 'chosen messages');
  await chosen.getByRole('button', { name: 'Delete for me' }).click();
  await ann.getByRole('dialog', { name: 'Delete 2 messages for you?' }).getByRole('button', { name: 'Delete' }).click();
  await chosen.waitFor({ state: 'detached' });
  for (const text of ['one to go', 'two to go']) await message(ann, text).waitFor({ state: 'detached' });
  assert.equal(await ann.getByRole('checkbox', { name: 'Choose this message' }).count(), 0);
  await menu(ann, 'one to stay', 'Delete for me');
  await ann.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  await message(ann, 'one to stay').waitFor({ state: 'detached' });
  await until('the focus is in the list', () => ann.evaluate(() => document.activeElement.matches('.scroller')));
});

test('a private room: an invitation comes, and is taken up', TIMEOUT, async () => {
  await goTo(ann, 'rooms');
  await ann.getByLabel('Name', { exact: true }).fill('secret');
  await ann.getByRole('checkbox', { name: /Public/ }).uncheck();
  await ann.getByRole('button', { name: 'Make the room' }).click();
  await composer(ann).waitFor();
  await ann.getByRole('button', { name: 'Members and settings of the room' }).click();
  await ann.getByLabel('Invite somebody').fill('bob');
  await ann.getByRole('button', { name: 'Invite' }).click();
  await bob.getByRole('link', { name: /Invitation to secret/ }).click();
  await bob.getByRole('button', { name: 'Join' }).click();
  await composer(bob).waitFor();
  await send(bob, 'I am in');
  await message(ann, 'I am in').waitFor();
  await ann.getByRole('button', { name: 'Close' }).click();
});

test('files: chosen with progress, a picture shown in its place, a file to be saved', TIMEOUT, async () => {
  await goTo(ann, 'c/bob');
  await goTo(bob, 'c/ann');
  await ann.locator('input[type=file]').setInputFiles([
    { name: 'dot.png', mimeType: 'image/png', buffer: PNG },
    { name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('some notes') },
  ]);
  await ann.getByRole('list', { name: 'Files to send' }).getByText('notes.txt').waitFor();
  await until('they are up', async () => (await ann.locator('.upload progress').count()) === 0);
  await send(ann, 'two files');
  const files = message(bob, 'two files');
  await files.getByRole('button', { name: 'Picture dot.png' }).locator('img').waitFor();
  const download = bob.waitForEvent('download');
  await files.getByRole('button', { name: /Save notes.txt/ }).click();
  assert.equal((await download).suggestedFilename(), 'notes.txt');
  await files.getByRole('button', { name: 'Picture dot.png' }).click();
  await bob.getByRole('dialog', { name: 'dot.png' }).waitFor();
  await bob.keyboard.press('Escape');
  // Pasted from the clipboard.
  await ann.evaluate(() => {
    const transfer = new DataTransfer();
    transfer.items.add(new File(['pasted'], 'pasted.txt', { type: 'text/plain' }));
    document.querySelector('.composer textarea').dispatchEvent(new ClipboardEvent('paste', { clipboardData: transfer, bubbles: true, cancelable: true }));
  });
  await ann.getByRole('list', { name: 'Files to send' }).getByText('pasted.txt').waitFor();
  await ann.getByRole('button', { name: 'Remove pasted.txt' }).click();
  await ann.getByRole('list', { name: 'Files to send' }).waitFor({ state: 'detached' });
});

test('search finds people, rooms and messages, and opens a message in its place', TIMEOUT, async () => {
  await goTo(ann, 'c/bob');
  await send(ann, 'the word heliotrope is rare');
  await message(bob, 'heliotrope').waitFor();
  // Ann's server has it as well.
  await ann.getByRole('navigation', { name: 'Conversations' }).getByText('heliotrope').waitFor();
  await ann.getByRole('searchbox', { name: 'Search people, rooms and messages' }).fill('heliotrope');
  await ann.keyboard.press('Enter');
  const hit = ann.getByRole('list', { name: 'Messages' }).getByRole('link', { name: /heliotrope/ });
  await hit.waitFor();
  assert.equal(await hit.locator('mark').innerText(), 'heliotrope');
  await accessible(ann, 'the search');
  await hit.click();
  await ann.locator('article.found', { hasText: 'heliotrope' }).waitFor();
  await goTo(ann, 'search/bob');
  await ann.getByRole('list', { name: 'People' }).getByRole('link', { name: /bob/ }).waitFor();
  await goTo(ann, 'search/tea');
  await ann.getByRole('list', { name: 'Rooms' }).getByRole('link', { name: /tea/ }).waitFor();
});

test('a draft stays with its conversation, through a reload too', TIMEOUT, async () => {
  await goTo(ann, 'c/bob');
  await until('the composer is that to bob', async () => /bob/.test((await composer(ann).getAttribute('placeholder')) ?? ''));
  await composer(ann).fill('half a thou');
  await goTo(ann, 'room/secret');
  await composer(ann).waitFor();
  assert.equal(await composer(ann).inputValue(), '');
  await ann.getByRole('navigation', { name: 'Conversations' }).getByText('Draft:').waitFor();
  await goTo(ann, 'c/bob');
  await ann.reload();
  await until('the draft is back', async () => (await composer(ann).inputValue()) === 'half a thou');
  await send(ann, 'half a thought');
  await message(bob, 'half a thought').waitFor();
});

test('a draft is kept also by who leaves in the same moment', TIMEOUT, async () => {
  await goTo(ann, 'c/bob');
  await until('the composer is that to bob', async () => /bob/.test((await composer(ann).getAttribute('placeholder')) ?? ''));
  await composer(ann).evaluate((area) => {
    area.value = 'in the last moment';
    area.dispatchEvent(new InputEvent('input', { bubbles: true }));
    // Before the browser paints again.
    setTimeout(() => {
      location.hash = '#/room/secret';
    }, 0);
  });
  await ann.getByRole('navigation', { name: 'Conversations' }).getByText('in the last moment').waitFor();
  await goTo(ann, 'c/bob');
  await until('the draft is there', async () => (await composer(ann).inputValue()) === 'in the last moment');
  await composer(ann).fill('');
});

test('texts stay texts: nothing in a message becomes markup, script or a dangerous link', TIMEOUT, async () => {
  await goTo(ann, 'c/bob');
  await goTo(bob, 'c/ann');
  const hostile = [
    '<script>window.hurt = 1</script>',
    '<img src=x onerror="window.hurt = 1">',
    '[click](javascript:window.hurt=1)',
    '[click](data:text/html,<script>window.hurt=1</script>)',
    'javascript:window.hurt=1',
    '"><svg/onload=window.hurt=1>',
    '`<b>code</b>` **<i>bold</i>** https://example.org/"onmouseover="window.hurt=1',
    '{{constructor.constructor("window.hurt=1")()}} ${window.hurt=1}',
    '\u202Egnp.exe\u202C',
    `${'*'.repeat(4000)}${'_'.repeat(4000)}${'['.repeat(4000)}`,
  ];
  for (const text of hostile) await send(ann, text);
  await message(bob, '____').waitFor();
  assert.equal(await ann.locator('article.failed').count(), 0);
  for (const page of [ann, bob]) {
    const found = await page.evaluate(() => {
      const all = [...document.querySelectorAll('.text *')];
      return {
        hurt: window.hurt ?? null,
        elements: [...new Set(all.map((element) => element.localName))],
        links: all.filter((element) => element.localName === 'a').map((element) => element.protocol),
        attributes: [...new Set(all.flatMap((element) => element.getAttributeNames()))],
      };
    });
    assert.equal(found.hurt, null);
    const known = ['p', 'strong', 'em', 's', 'code', 'pre', 'a', 'ul', 'ol', 'li', 'blockquote'];
    assert.deepEqual(found.elements.filter((name) => !known.includes(name)), []);
    assert.deepEqual(found.links.filter((protocol) => !['http:', 'https:'].includes(protocol)), []);
    assert.deepEqual(found.attributes.filter((name) => name.startsWith('on') || name === 'style'), []);
    assert.ok((await texts(page)).includes('<script>window.hurt = 1</script>'));
  }
});

/** Waits until the server that a page is at has heard of another page's session: the page asks it for the sessions once. */
async function knowsSession(page, other) {
  const session = await other.evaluate(async () => (await import('/js/state/app.js')).me.value.session);
  await until('the session is known', () => page.evaluate(async (session) => {
    const { connection } = await import('/js/state/app.js');
    return (await connection.call('list_sessions')).sessions.some((one) => one.session === session);
  }, session));
}

test('a display name, the look, sessions, a new password', TIMEOUT, async () => {
  const other = await open(browser, cluster.url('server-3'));
  await signIn(other, 'ann');
  await knowsSession(ann, other);
  await goTo(ann, 'settings');
  await ann.getByLabel('Name that is shown').fill('Ann of the Hills');
  await ann.getByRole('button', { name: 'Save' }).click();
  await ann.getByRole('heading', { name: 'Ann of the Hills' }).waitFor();
  await ann.getByRole('button', { name: 'Dark' }).click();
  assert.equal(await ann.evaluate(() => document.documentElement.dataset.theme), 'dark');
  await ann.getByRole('button', { name: 'As the system' }).click();
  await until('two devices', async () => (await ann.getByText(/^since /).count()) === 2);
  await accessible(ann, 'the settings');
  await ann.getByLabel('Old password').fill(PASSWORD);
  await ann.getByLabel('New password').fill('another password');
  await ann.getByRole('button', { name: 'Change the password' }).click();
  await other.getByText('This session has ended. Sign in again.').waitFor();
  await signIn(other, 'ann', 'another password');
  await goTo(ann, 'c/bob');
  await send(ann, 'under my new name');
  await goTo(bob, 'settings');
  await goTo(bob, 'c/ann');
  await message(bob, 'under my new name').waitFor();
  await goTo(other, 'settings');
  await ann.reload();
  await knowsSession(ann, other);
  await goTo(ann, 'settings');
  await ann.getByRole('button', { name: /^Sign out Chrome/ }).click();
  await other.getByText('This session has ended. Sign in again.').waitFor();
  await other.context().close();
});

/** Opens the administration anew until it shows something: after a change it asks its server once, which may be behind the one that made it. */
function administrationShows(what) {
  return until('the administration shows it', async () => {
    if ((await what.count()) > 0) return true;
    await goTo(ann, 'rooms');
    await ann.getByRole('button', { name: 'Make the room' }).waitFor();
    await goTo(ann, 'admin');
    await ann.getByRole('list', { name: 'Accounts' }).getByRole('listitem').first().waitFor();
    await ann.locator('ul[aria-busy]').waitFor({ state: 'detached' });
    return (await what.count()) > 0;
  });
}

test('an administrator disables an account and lets it in again', TIMEOUT, async () => {
  await goTo(ann, 'admin');
  await ann.getByRole('button', { name: 'What to do with bob' }).click();
  await ann.getByRole('menuitem', { name: 'Disable' }).click();
  await ann.getByRole('dialog').getByRole('button', { name: 'Disable' }).click();
  await bob.getByRole('heading', { name: 'Sign in' }).waitFor();
  await administrationShows(ann.getByText('disabled', { exact: true }));
  await accessible(ann, 'the administration');
  await ann.getByRole('button', { name: 'What to do with bob' }).click();
  await ann.getByRole('menuitem', { name: 'Let sign in again' }).click();
  await administrationShows(ann.getByRole('listitem').filter({ hasText: 'enabled' }));
  await signIn(bob, 'bob');
});

test('an account is deleted, and what others received stays', TIMEOUT, async () => {
  await goTo(bob, 'settings');
  await bob.getByRole('button', { name: 'Delete the account' }).click();
  await bob.getByRole('dialog').getByLabel('Password').fill(PASSWORD);
  await bob.getByRole('button', { name: 'Delete for ever' }).click();
  await bob.getByText('The account is deleted.').waitFor();
  const list = ann.getByRole('navigation', { name: 'Conversations' });
  const entry = list.getByRole('link', { name: /^deleted user/ });
  // Servers remember names for a moment.
  await until('the name is gone', async () => {
    await ann.reload();
    await list.getByRole('link', { name: /tea/ }).waitFor();
    return (await entry.count()) > 0;
  });
  await entry.click();
  await message(ann, 'Hello Ann!').waitFor();
  await ann.getByRole('heading', { name: 'deleted user' }).first().waitFor();
});

test('an administrator frees the name of a deleted account', TIMEOUT, async () => {
  await goTo(ann, 'admin');
  const free = async (name) => {
    await ann.getByRole('button', { name: 'Free a name' }).click();
    await ann.getByRole('dialog').getByLabel('Name of a deleted account').fill(name);
    await ann.getByRole('dialog').getByRole('button', { name: 'Free it' }).click();
  };
  await free('ann');
  await ann.getByText('it can be freed once that is deleted').waitFor();
  await free('bob');
  await ann.getByText('may be called bob now').waitFor();
  await administrationShows(ann.getByRole('listitem').filter({ hasText: 'freed the name' }));
  await register(bob, 'bob');
});

test('no page had a fault, was refused anything, or asked anybody else', async () => {
  assert.deepEqual(faults(ann), []);
  assert.deepEqual(faults(bob), []);
});
