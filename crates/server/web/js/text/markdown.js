// A small part of Markdown, made into elements. Text only ever becomes text nodes and a fixed set of elements: there is no way from a
// message to markup, attributes other than checked link targets, or scripts. Every step is linear in the length of the text.
//
// Known: paragraphs and line breaks, `code`, ```blocks```, **bold**, *italic*, _italic_, ~~struck~~, links, > quotes, lists, @names.

import { h } from '../preact.js';

const DEPTH = 6;
const LINK = /^https?:\/\/[^\s<>"'`]+/i;
const NAME = /^@([\p{L}\p{N}_.-]{1,32})/u;

/** The elements of a text. `context`: {mentions: [names in small letters], me: own name} */
export function rich(text, context = {}) {
  return blocks(text.replace(/\r\n?/g, '\n'), context, 0);
}

function blocks(text, context, depth) {
  const lines = text.split('\n');
  const made = [];
  let at = 0;
  while (at < lines.length) {
    const line = lines[at];
    const start = at;
    if (/^\s*```/.test(line)) {
      at = fenceEnd(lines, at + 1);
      const code = lines.slice(start + 1, at).join('\n');
      at += 1;
      made.push(h('pre', { tabindex: 0 }, h('code', { dir: 'ltr' }, code)));
    } else if (depth < DEPTH && /^> ?/.test(line)) {
      while (at < lines.length && /^> ?/.test(lines[at])) at += 1;
      const inner = lines.slice(start, at).map((quoted) => quoted.replace(/^> ?/, ''));
      made.push(h('blockquote', { dir: 'auto' }, blocks(inner.join('\n'), context, depth + 1)));
    } else if (/^\s{0,3}([-*•])\s+\S/.test(line)) {
      while (at < lines.length && /^\s{0,3}[-*•]\s+\S/.test(lines[at])) at += 1;
      made.push(h('ul', null, items(lines.slice(start, at), /^\s{0,3}[-*•]\s+/, context)));
    } else if (/^\s{0,3}\d{1,6}[.)]\s+\S/.test(line)) {
      while (at < lines.length && /^\s{0,3}\d{1,6}[.)]\s+\S/.test(lines[at])) at += 1;
      made.push(h('ol', { start: Number.parseInt(line, 10) }, items(lines.slice(start, at), /^\s{0,3}\d{1,6}[.)]\s+/, context)));
    } else {
      at += 1;
      while (at < lines.length && !/^(\s*```|> ?|\s{0,3}([-*•]|\d{1,6}[.)])\s+\S)/.test(lines[at]) && lines[at].trim() !== '') at += 1;
      const paragraph = lines.slice(start, at).join('\n');
      if (paragraph.trim() !== '') made.push(h('p', { dir: 'auto' }, inline(paragraph, context, 0)));
    }
  }
  return made;
}

function fenceEnd(lines, from) {
  let at = from;
  while (at < lines.length && !/^\s*```\s*$/.test(lines[at])) at += 1;
  return at;
}

function items(lines, mark, context) {
  return lines.map((line) => h('li', { dir: 'auto' }, inline(line.replace(mark, ''), context, 0)));
}

/** What opens and closes an element, the longer ones first. */
const SPANS = [
  ['**', 'strong'],
  ['__', 'strong'],
  ['~~', 's'],
  ['*', 'em'],
  ['_', 'em'],
];

function inline(text, context, depth) {
  const made = [];
  const dead = new Set();
  let plainFrom = 0;
  let at = 0;
  const flush = (to) => {
    if (to > plainFrom) made.push(text.slice(plainFrom, to));
  };
  const take = (element, end) => {
    flush(at);
    made.push(element);
    at = end;
    plainFrom = end;
  };
  while (at < text.length) {
    const found = special(text, at, dead, context, depth);
    if (found) take(found.element, found.end);
    else at += 1;
  }
  flush(at);
  return made;
}

/** The element that begins here, if one does. */
function special(text, at, dead, context, depth) {
  const sign = text[at];
  if (sign === '`') return code(text, at, dead);
  if (sign === '*' || sign === '_' || sign === '~') return depth < DEPTH ? span(text, at, dead, context, depth) : null;
  if (sign === '[') return depth < DEPTH ? namedLink(text, at, dead, context, depth) : null;
  if ((sign === 'h' || sign === 'H') && !isWord(text[at - 1])) return bareLink(text, at);
  if (sign === '@' && !isWord(text[at - 1])) return mention(text, at, context);
  return null;
}

function code(text, at, dead) {
  if (dead.has('`')) return null;
  const end = text.indexOf('`', at + 1);
  if (end < 0) {
    dead.add('`');
    return null;
  }
  return end === at + 1 ? null : { element: h('code', { dir: 'ltr' }, text.slice(at + 1, end)), end: end + 1 };
}

function span(text, at, dead, context, depth) {
  for (const [sign, element] of SPANS) {
    if (!text.startsWith(sign, at) || dead.has(sign)) continue;
    const from = at + sign.length;
    if (from >= text.length || /\s/.test(text[from])) return null;
    // An underscore within a word is one.
    if (sign[0] === '_' && isWord(text[at - 1])) return null;
    const end = closing(text, sign, from);
    if (end < 0) {
      dead.add(sign);
      continue;
    }
    return { element: h(element, null, inline(text.slice(from, end), context, depth + 1)), end: end + sign.length };
  }
  return null;
}

function closing(text, sign, from) {
  // Bounded: of a text full of signs that close nothing, only so many are looked at for each that opens.
  let end = text.indexOf(sign, from + 1);
  for (let tries = 0; end >= 0 && tries < 50; tries += 1) {
    const doubled = sign.length === 1 && (text[end + 1] === sign || text[end - 1] === sign);
    const inWord = sign[0] === '_' && isWord(text[end + sign.length]);
    if (!/\s/.test(text[end - 1]) && !doubled && !inWord) return end;
    end = text.indexOf(sign, end + (doubled ? 2 : 1));
  }
  return -1;
}

function namedLink(text, at, dead, context, depth) {
  if (dead.has('](')) return null;
  const middle = text.indexOf('](', at + 1);
  if (middle < 0) {
    dead.add('](');
    return null;
  }
  const end = text.indexOf(')', middle + 2);
  const label = text.slice(at + 1, middle);
  if (end < 0 || end - middle > 2000 || label.length === 0 || label.length > 300 || label.includes('\n') || label.includes('[')) return null;
  const href = safe(text.slice(middle + 2, end).trim());
  return href ? { element: link(href, inline(label, { ...context, mentions: [] }, DEPTH)), end: end + 1 } : null;
}

function bareLink(text, at) {
  const [found] = LINK.exec(text.slice(at, at + 2000)) ?? [];
  if (!found) return null;
  // What ends a sentence does not belong to the address; a bracket does if it was opened in it.
  let address = found.replace(/[.,;:!?*_~]+$/, '');
  while (address.endsWith(')') && address.split('(').length < address.split(')').length) address = address.slice(0, -1);
  const href = safe(address);
  return href ? { element: link(href, address), end: at + address.length } : null;
}

/** The target of a link, if it may be one: never a script, never a file. */
export function safe(target) {
  if (!/^(https?:\/\/|mailto:)/i.test(target)) return null;
  try {
    const { protocol, href } = new URL(target);
    return protocol === 'http:' || protocol === 'https:' || protocol === 'mailto:' ? href : null;
  } catch {
    return null;
  }
}

function link(href, label) {
  return h('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow', dir: 'ltr' }, label);
}

function mention(text, at, { mentions = [], me = '' }) {
  const [, name] = NAME.exec(text.slice(at, at + 40)) ?? [];
  if (!name) return null;
  // "@ann." at the end of a sentence names ann.
  const known = [name, name.replace(/[.-]+$/, '')].find((one) => mentions.includes(one.toLowerCase()));
  if (!known) return null;
  const mine = known.toLowerCase() === me.toLowerCase();
  const props = { class: mine ? 'mention-name me' : 'mention-name', href: `#/c/${encodeURIComponent(known)}` };
  return { element: h('a', props, `@${known}`), end: at + 1 + known.length };
}

function isWord(sign) {
  return sign !== undefined && /[\p{L}\p{N}_]/u.test(sign);
}

/** The text without its signs, on one line, for lists and notifications. */
export function plain(text = '', length = 160) {
  const line = text
    .slice(0, length * 3)
    .replace(/```\w*/g, '')
    .replace(/(\*\*|__|~~|`)/g, '')
    .replace(/\[([^\]\n]{1,100})\]\((https?:[^)\s]{1,500})\)/g, '$1')
    .replace(/\s+/g, ' ')
    .trim();
  return line.length > length ? `${line.slice(0, length)}…` : line;
}

/** Whether a text is nothing but a few emoji, which are then shown large. */
export function onlyEmoji(text) {
  return text.length <= 24 && /^(\p{Extended_Pictographic}[\p{Emoji_Modifier}\uFE0F\u200D]*\s*){1,3}$/u.test(text.trim());
}
