// Makes the pictures of the page for the documents: `node pictures.mjs [directory]`. A small cluster, some people, a conversation.

import { mkdirSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DESKTOP, PHONE, launch, open, register } from './lib/browser.mjs';
import { act, composer, goTo, message, send } from './lib/chat.mjs';
import { Cluster } from './lib/cluster.mjs';
import { until } from './lib/wait.mjs';

const directory = resolve(process.argv[2] ?? join(dirname(fileURLToPath(import.meta.url)), '../docs/images'));
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

  await mira.mouse.move(5, 5);
  await until('the list has settled', async () => (await mira.getByRole('link', { name: /unread/ }).count()) >= 2);
  for (const [scheme, dark] of [['light', false], ['dark', true]]) {
    await mira.emulateMedia({ colorScheme: scheme, reducedMotion: 'reduce' });
    await mira.setViewportSize(DESKTOP);
    await goTo(mira, 'room/harbour');
    await message(mira, 'save me a piece').waitFor();
    await picture(mira, `chat-${scheme}`);
    await mira.setViewportSize(PHONE);
    await mira.waitForTimeout(300);
    await mira.locator('.scroller').evaluate((element) => element.scrollTo(0, element.scrollHeight));
    await picture(mira, dark ? 'phone-chat-dark' : 'phone-chat-light');
    if (dark) {
      await goTo(mira, '');
      await picture(mira, 'phone-list-dark');
    } else {
      await mira.setViewportSize(DESKTOP);
      await goTo(mira, 'search/ferry');
      await mira.getByRole('list', { name: 'Messages' }).waitFor();
      await picture(mira, 'search-light');
    }
  }
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

async function picture(page, name) {
  await page.waitForTimeout(400);
  await page.screenshot({ path: join(directory, `${name}.png`) });
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
