// Editing, and what comes of it: messages without a text, edits that are refused while one does something else, and what keys do to a
// message.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, signIn } from './lib/browser.mjs';
import { until } from './lib/wait.mjs';
import { composer, goTo, menu, message, send, settled, texts } from './lib/chat.mjs';
import { PICTURE, end, isUp, person as newPerson } from './lib/person.mjs';
import { stage } from './lib/stage.mjs';

const TIMEOUT = { timeout: 180_000 };
let cluster;
let browser;

stage((there) => {
  ({ cluster, browser } = there);
});

const person = (name) => newPerson(cluster, browser, name);
const reads = (page, text) => until(`the composer has "${text}"`, async () => (await composer(page).inputValue()) === text);
const failed = (page, text) => page.locator('article.failed', { hasText: text });

test('a message of files only is given a text by an edit, and so is one whose text was taken away', TIMEOUT, async () => {
  const { page } = await person('filer');
  await goTo(page, 'c/filer');
  await page.locator('input[type=file]').setInputFiles([PICTURE]);
  await isUp(page);
  await composer(page).press('Enter');
  await settled(page);
  const row = page.locator('article.message', { has: page.getByRole('button', { name: 'Picture dot.png' }) });
  const edit = async (text) => {
    await row.hover();
    await row.getByRole('button', { name: 'More' }).click();
    await page.getByRole('menuitem', { name: 'Edit' }).click();
    await page.getByText('Editing a message').waitFor();
    await reads(page, '');
    await send(page, text);
    await row.locator('.text', { hasText: text }).waitFor();
  };
  await edit('what it shows');
  const edits = () => page.evaluate(async () => (await import('/js/state/app.js')).outbox.waiting().length === 0);
  await until('it is done', edits);
  // As another program may.
  await page.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    const { timelineOf } = await import('/js/state/timelines.js');
    const { id, conversation } = timelineOf('c/filer').messages.at(-1);
    await outbox.write({ edit: { conversation, message: id, body: '' } });
  });
  await row.locator('.text').waitFor({ state: 'detached' });
  await page.reload();
  await row.waitFor();
  await edit('what it shows, said again');
  await until('it is done', edits);
  await row.focus();
  await row.press('e');
  await reads(page, 'what it shows, said again');
  await composer(page).press('Escape');
  await end(page);
});

test('an edit that is refused is kept, and touches nothing that one writes meanwhile', TIMEOUT, async () => {
  const { page, cut } = await person('late-editor');
  await goTo(page, 'c/late-editor');
  const said = ['one', 'two', 'three', 'four'].map((number) => `${number} as it was`);
  for (const text of said) await send(page, text);
  await settled(page);
  const device = await open(browser, cluster.url('server-2'));
  await signIn(device, 'late-editor');
  await goTo(device, 'c/late-editor');
  await message(device, said[3]).waitFor();
  const withdraw = (text) => device.evaluate(async (text) => {
    const { outbox } = await import('/js/state/app.js');
    const { timelineOf } = await import('/js/state/timelines.js');
    const { id, conversation } = timelineOf('c/late-editor').messages.find((one) => one.body === text);
    await outbox.write({ delete: { conversation, messages: [id], for_everyone: true } });
  }, text);
  const editUnheard = async (text, edited) => {
    await cut(true);
    await menu(page, text, 'Edit');
    await send(page, edited);
  };
  // Another message is being edited.
  await editUnheard(said[0], 'one, refused');
  await menu(page, said[1], 'Edit');
  await composer(page).fill('two, being edited');
  await withdraw(said[0]);
  await cut(false);
  await failed(page, 'one, refused').getByText(/^Not sent:/).waitFor();
  assert.equal(await composer(page).inputValue(), 'two, being edited');
  await page.getByText('Editing a message').waitFor();
  await composer(page).press('Escape');
  // One has been elsewhere, and writes something else.
  await editUnheard(said[2], 'three, refused');
  await goTo(page, 'settings');
  await page.getByRole('heading', { name: 'Leave' }).waitFor();
  await goTo(page, 'c/late-editor');
  await composer(page).fill('a new message');
  await withdraw(said[2]);
  await cut(false);
  await failed(page, 'three, refused').waitFor();
  assert.equal(await composer(page).inputValue(), 'a new message');
  assert.equal(await page.getByText('Editing a message').count(), 0);
  await composer(page).fill('');
  // One is elsewhere, and has left another edit behind.
  await editUnheard(said[3], 'four, refused');
  await menu(page, said[1], 'Edit');
  await composer(page).fill('two, left behind');
  await goTo(page, 'settings');
  await page.getByRole('heading', { name: 'Leave' }).waitFor();
  await withdraw(said[3]);
  await cut(false);
  await until('all three are kept', () => page.evaluate(async () => (await import('/js/state/app.js')).outbox.failed.length === 3));
  await goTo(page, 'c/late-editor');
  await page.getByText('Editing a message').waitFor();
  await reads(page, 'two, left behind');
  await composer(page).press('Escape');
  for (const text of ['one', 'three', 'four']) {
    await failed(page, `${text}, refused`).getByRole('button', { name: 'Discard' }).click();
    await failed(page, `${text}, refused`).waitFor({ state: 'detached' });
  }
  assert.deepEqual(await texts(page), [said[1]]);
  await device.context().close();
  await end(page);
});

test('`x` opens the reactions of the message that has the focus, also when the pointer has passed over it', TIMEOUT, async () => {
  const { page } = await person('keys');
  await goTo(page, 'c/keys');
  await send(page, 'to be liked by keys');
  await settled(page);
  const row = message(page, 'to be liked by keys');
  await row.focus();
  await row.getByRole('button', { name: 'React' }).waitFor({ state: 'attached' });
  await row.hover();
  await page.getByRole('navigation', { name: 'Conversations' }).hover();
  await page.keyboard.press('x');
  await page.getByRole('dialog', { name: 'Reactions' }).waitFor();
  await end(page);
});

test('a message of files only is seen once while its answer is awaited', TIMEOUT, async () => {
  const page = await open(browser, 'about:blank');
  const held = [];
  let holds = false;
  await page.routeWebSocket(/\/ws$/, (socket) => {
    const server = socket.connectToServer();
    server.onMessage((text) => (holds && JSON.parse(text).result ? held.push(() => socket.send(text)) : socket.send(text)));
  });
  await page.goto(cluster.url());
  await page.getByLabel('Name', { exact: true }).waitFor();
  await signIn(page, 'filer');
  await goTo(page, 'c/filer');
  const rows = page.locator('article.message', { has: page.getByRole('button', { name: /dot.png/ }) });
  await rows.first().waitFor();
  await page.locator('input[type=file]').setInputFiles([PICTURE]);
  await isUp(page);
  holds = true;
  await composer(page).press('Enter');
  await until('its event has come', () => page.evaluate(async () => (await import('/js/state/timelines.js')).timelineOf('c/filer').messages.length === 2));
  assert.equal(await page.evaluate(async () => (await import('/js/state/app.js')).outbox.waiting().length), 1, 'its answer has not');
  // What came is drawn by then: one row more would be seen.
  await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve, 200)))));
  assert.equal(await rows.count(), 2, 'it is seen once');
  holds = false;
  for (const say of held) say();
  await settled(page);
  assert.equal(await rows.count(), 2);
  await end(page);
});
