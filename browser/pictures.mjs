// Makes the pictures of the page: `node pictures.mjs` those that the documents show, `node pictures.mjs directory` all of them, for who wants to see
// how each view looks on a desk and on a phone, in the light and in the dark. A small cluster, some people, a conversation.

import { execFile } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { DESKTOP, PHONE, launch, open, register } from './lib/browser.mjs';
import { act, composer, goTo, message, send } from './lib/chat.mjs';
import { Cluster, program } from './lib/cluster.mjs';
import { until } from './lib/wait.mjs';

/** What the documents show. */
const SHOWN = new Set([
  'chat-light', 'chat-dark', 'phone-chat-light', 'phone-chat-dark', 'phone-list-dark', 'search-light', 'cluster-light', 'cluster-dark', 'phone-cluster-light', 'first-light', 'room-dark',
  'phone-settings-light', 'phone-reconnecting-light', 'frozen-light',
]);
/** What is animated has come to rest, and what comes from the servers is there. */
const REST_MS = 400;
const all = process.argv[2];
const directory = resolve(all ?? join(dirname(fileURLToPath(import.meta.url)), '../docs/images'));
mkdirSync(directory, { recursive: true });

const cluster = await Cluster.start();
const browser = await launch();
try {
  await main();
} finally {
  await browser.close();
  await cluster.stop();
}

async function main() {
  const first = await open(browser, cluster.url());
  await first.getByText('Whoever makes the first one').waitFor();
  await pictures(first, 'first');
  await first.context().close();

  const { mira, jonas } = await people();
  const newcomer = await open(browser, cluster.url('server-3'));
  await newcomer.getByRole('heading', { name: 'Sign in' }).waitFor();
  await pictures(newcomer, 'sign-in');
  await register(newcomer, 'zoe');
  await newcomer.getByRole('heading', { name: 'Welcome, zoe' }).waitFor();
  await pictures(newcomer, 'welcome');
  await newcomer.context().close();

  await mira.mouse.move(5, 5);
  await until('the list has settled', async () => (await mira.getByRole('link', { name: /unread/ }).count()) >= 2);
  await pictures(mira, 'chat', () => message(mira, 'save me a piece').waitFor());
  await goTo(mira, '');
  await pictures(mira, 'list');
  for (const [view, name, there] of [
    ['search/ferry', 'search', '.found-title'],
    ['rooms', 'rooms', '.list li'],
    ['new', 'new', '.list li'],
    ['settings', 'settings', '.list li'],
    ['admin', 'admin', '.list li'],
  ]) {
    await goTo(mira, view);
    await mira.locator(there).first().waitFor();
    await pictures(mira, name);
  }
  await goTo(mira, 'room/harbour');
  await mira.getByRole('button', { name: 'Members and settings of the room' }).click();
  await mira.getByRole('complementary').getByText('owner').waitFor();
  await pictures(mira, 'room');
  await mira.getByRole('button', { name: 'Close' }).click();

  await mira.evaluate(async () => {
    const { connection, chats, outbox } = await import('/js/state/app.js');
    const { id } = chats.room('harbour');
    outbox.fail({ operation: { send: { to: { conversation: id }, body: 'Which pier is it?' } }, note: { place: `k/${id}`, at: Date.now() } }, { message: 'its files are no longer there. It can go without them.' });
    // No server answers any more.
    connection.connect = () => {};
    connection.lost(null);
  });
  await send(mira, 'I am on my way to the clock');
  await mira.getByText('One message is waiting').waitFor();
  await pictures(mira, 'reconnecting', () => toEnd(mira));
  await mira.reload();
  await theCluster(jonas);
}

/** The cluster's page while two talk and servers die; and a cluster that is frozen. */
async function theCluster(page) {
  await page.goto(cluster.url('server-2'));
  await goTo(page, 'cluster');
  await page.getByRole('button', { name: 'Let them talk' }).click();
  const delivered = async () => Number((await page.locator('.counts dd:not(.meter)').nth(2).innerText()).replace(/\D/g, ''));
  await until('they talk for a while', async () => (await delivered()) > 150);
  const leader = (await cluster.leader()).name;
  await page.getByRole('button', { name: `Kill ${leader}` }).click();
  await until('it is degraded', async () => (await page.locator('#the-state').innerText()).startsWith('Degraded'));
  const before = await delivered();
  await until('they go on', async () => (await delivered()) > before + 60);
  // The charts are below the rest.
  await pictures(page, 'cluster', () => {}, { ...DESKTOP, height: 990 });
  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.locator('[data-stage="ended"]').waitFor();
  await page.getByRole('button', { name: `Start ${leader}` }).click();
  await cluster.whole();
  await promisify(execFile)(program(), ['survivor-mode', 'off', '--data-dir', cluster.data]);
  for (const name of cluster.names.filter((name) => name !== 'server-2')) await cluster.kill(name);
  await until('it is frozen', async () => (await page.locator('#the-state').innerText()) === 'Frozen');
  await pictures(page, 'frozen');
  await goTo(page, 'room/harbour');
  await pictures(page, 'frozen-chat', () => toEnd(page));
}

/** Four people, what they are called, two rooms, and what they have said. */
async function people() {
  const people = {};
  for (const [place, name] of ['mira', 'jonas', 'aiko', 'samir'].entries()) {
    people[name] = await open(browser, cluster.url(cluster.names[place % 3]));
    await register(people[name], name);
  }
  const { mira, jonas, aiko, samir } = people;
  await named(mira, 'Mira Lindqvist');
  await named(jonas, 'Jonas');
  await named(aiko, 'Aiko Tanaka');
  await named(samir, 'سمير');

  await room(mira, 'harbour', 'the Saturday walk, and who brings what');
  for (const page of [jonas, aiko, samir]) await join_(page, 'harbour');
  await room(aiko, 'releases', 'what ships when');
  for (const page of [mira, jonas]) await join_(page, 'releases');

  await goTo(jonas, 'c/mira');
  await send(jonas, 'Did you get the tickets?');
  await goTo(samir, 'c/mira');
  await send(samir, 'شكرا جزيلا! أراك يوم السبت');
  await goTo(mira, 'c/jonas');
  await send(mira, 'Yes, two for the early ferry 🚢');
  await message(jonas, 'early ferry').waitFor();
  await goTo(aiko, 'room/releases');
  await send(aiko, '**0.9** is tagged. @mira can you look at the notes?');
  await goTo(aiko, 'c/mira');
  await send(aiko, 'I put the map into #harbour');

  for (const page of [mira, jonas, aiko, samir]) await goTo(page, 'room/harbour');
  await send(aiko, 'Good morning! The ferry leaves at **9:40**, not at ten. Plan:\n- meet at the clock\n- coffee on the way\n- boots, it rained all night');
  await message(mira, 'Good morning!').waitFor();
  await send(jonas, 'I bring the thermos. Weather says https://weather.example/harbour, so: rain until noon.');
  await message(aiko, 'thermos').waitFor();
  await react(mira, 'thermos', 'coffee');
  await react(samir, 'thermos', 'coffee');
  await aiko.locator('input[type=file]').setInputFiles([{ name: 'harbour.png', mimeType: 'image/png', buffer: await landscape() }]);
  await until('it is up', async () => (await aiko.locator('.upload').count()) === 1 && (await aiko.locator('.upload progress').count()) === 0);
  await send(aiko, 'From the pier, yesterday:');
  await message(mira, 'From the pier').locator('img').waitFor();
  await react(jonas, 'From the pier', 'heart');
  await react(mira, 'From the pier', 'heart');
  await act(mira, 'thermos', 'Reply');
  await send(mira, 'Then I bring cake. And `towels`.');
  await message(samir, 'Then I bring cake').waitFor();
  await send(samir, 'صباح الخير! سأكون هناك');
  await message(jonas, 'صباح').waitFor();
  await send(jonas, '@mira save me a piece!');
  await message(mira, 'save me a piece').waitFor();
  return people;
}

async function named(page, display) {
  await goTo(page, 'settings');
  await page.getByLabel('Name that is shown').fill(display);
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('heading', { name: display }).waitFor();
}

async function room(page, name, topic) {
  await goTo(page, 'rooms');
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel(/Topic/).fill(topic);
  await page.getByRole('button', { name: 'Make the room' }).click();
  await composer(page).waitFor();
}

async function join_(page, name) {
  await goTo(page, `room/${name}`);
  await page.getByRole('button', { name: 'Join' }).click();
  await composer(page).waitFor();
}

async function react(page, text, emoji) {
  await act(page, text, 'React');
  await page.getByRole('dialog', { name: 'Reactions' }).getByRole('button', { name: emoji, exact: true }).click();
}

function toEnd(page) {
  return page.locator('.scroller').evaluate((element) => element.scrollTo(0, element.scrollHeight));
}

/** How it looks: on a desk and on a phone, in the light and in the dark. */
async function pictures(page, name, prepare = () => {}, desktop = DESKTOP) {
  for (const [size, viewport] of [['', desktop], ['phone-', PHONE]]) {
    for (const colorScheme of ['light', 'dark']) {
      const path = `${size}${name}-${colorScheme}`;
      if (!all && !SHOWN.has(path)) continue;
      await page.setViewportSize(viewport);
      await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
      await page.waitForTimeout(REST_MS);
      await prepare();
      await page.screenshot({ path: join(directory, `${path}.png`) });
    }
  }
  await page.setViewportSize(DESKTOP);
}

/** A picture to attach, drawn here. */
async function landscape() {
  const page = await browser.newPage({ viewport: { width: 800, height: 600 } });
  await page.setContent(`<body style="margin:0"><svg width="800" height="600" viewBox="0 0 800 600">
    <defs><linearGradient id="s" x1="0" x2="0" y1="0" y2="1"><stop offset="0" stop-color="#29476b"/><stop offset=".55" stop-color="#e79a6d"/><stop offset="1" stop-color="#f6d7a0"/></linearGradient></defs>
    <rect width="800" height="380" fill="url(#s)"/><circle cx="560" cy="330" r="52" fill="#fff0cf"/>
    <path d="M0 360 120 300 260 352 400 286 560 350 700 312 800 350V400H0z" fill="#3b4a5e"/>
    <rect y="378" width="800" height="222" fill="#34566f"/><path d="M470 400h180M500 430h120M440 466h240M520 505h80" stroke="#f6d7a0" stroke-width="7" opacity=".55"/>
    <path d="M120 470h210l-34 46H158z" fill="#20303c"/><path d="M225 465V310l92 140zM217 465V335l-70 115z" fill="#f4efe4"/></svg>`);
  const shot = await page.screenshot();
  await page.close();
  return shot;
}
