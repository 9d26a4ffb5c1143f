// What tests do in the chat page, in the words of its labels.

import { until } from './wait.mjs';

/** A picture of one dot. */
export const PNG = Buffer.from('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==', 'base64');

/** Opens a view by its address, as a link would. */
export function goTo(page, view) {
  return page.evaluate((view) => {
    location.hash = `#/${view}`;
  }, view);
}

export function composer(page) {
  return page.locator('.composer textarea');
}

/** Writes a message, or ends an edit, and sends it by Enter. */
export async function send(page, text) {
  await composer(page).fill(text);
  await composer(page).press('Enter');
}

/** Waits until nothing is on its way, and nothing has failed. */
export function settled(page) {
  return until('everything is sent', () => page.evaluate(async () => (await import('/js/state/app.js')).outbox.sends().length === 0));
}

/** Waits until the server that a page is at has heard of a room: the page asks it for one once, and it may be behind the others. */
export function knowsRoom(page, room) {
  return until(`#${room} is known`, () => page.evaluate(async (room) => {
    const { connection } = await import('/js/state/app.js');
    return connection.call('get_room', { room: { room } }).then(() => true, () => false);
  }, room));
}

/** The same of somebody who was registered a moment ago, at another server. */
export function knowsUser(page, name) {
  return until(`${name} is known`, () => page.evaluate(async (name) => {
    const { people } = await import('/js/state/app.js');
    return (await people.search(name)).some((one) => one.name === name);
  }, name));
}

/** The newest message with this in it. */
export function message(page, text) {
  return page.locator('article.message').filter({ has: page.locator('.text, .bubble', { hasText: text }) }).last();
}

/** The texts of all messages in sight, in order. */
export function texts(page) {
  return page.locator('article.message .text').allInnerTexts();
}

async function actions(page, text) {
  const row = page.locator('article.message').filter({ has: page.locator('.bubble > .text', { hasText: text }) }).last();
  await row.hover();
  return row;
}

/** One of the buttons that a message has. */
export async function act(page, text, name) {
  await (await actions(page, text)).getByRole('button', { name, exact: true }).click();
}

/** One of the things in a message's menu. */
export async function menu(page, text, name) {
  await act(page, text, 'More');
  await page.getByRole('menuitem', { name }).click();
}
