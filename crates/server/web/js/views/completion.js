// Completion in the composer: names after `@`, emoji after `:`.

import { html, useRef, useState } from '../preact.js';
import { connection, me, people } from '../state/app.js';
import { findEmoji } from '../text/emoji.js';
import { Avatar } from '../ui/avatar.js';

const NAME = /(?:^|[\s(])@([\p{L}\p{N}_.-]{0,32})$/u;
const EMOJI = /(?:^|\s):([a-z_]{2,20})$/;
const SHOWN = 7;

export function useCompletion(area, text, setText, place) {
  const [list, setList] = useState([]);
  const [at, setAt] = useState(0);
  const token = useRef({ from: 0, to: 0, turn: 0 });
  const members = useRef(null);
  const close = () => {
    token.current.turn += 1;
    setList([]);
  };

  const offer = (turn, found) => {
    if (turn !== token.current.turn) return;
    setList(found.slice(0, SHOWN));
    setAt(0);
  };
  /** What stands before the caret. */
  const look = ({ value, selectionStart }) => {
    const before = value.slice(0, selectionStart);
    const turn = (token.current.turn += 1);
    const [, name] = NAME.exec(before) ?? [];
    const [, word] = EMOJI.exec(before) ?? [];
    if (name !== undefined) {
      Object.assign(token.current, { from: selectionStart - name.length - 1, to: selectionStart });
      candidates(place, name.toLowerCase(), members).then((found) => offer(turn, found), () => offer(turn, []));
    } else if (word !== undefined) {
      Object.assign(token.current, { from: selectionStart - word.length - 1, to: selectionStart });
      offer(turn, findEmoji(word, SHOWN).map(({ emoji, word }) => ({ insert: emoji, glyph: emoji, label: word })));
    } else if (list.length) setList([]);
  };
  const choose = (index) => {
    const { from, to } = token.current;
    const piece = `${list[index].insert} `;
    setText(text.slice(0, from) + piece + text.slice(to));
    close();
    area.current.focus();
    requestAnimationFrame(() => area.current?.setSelectionRange(from + piece.length, from + piece.length));
  };
  const onKeyDown = (event) => {
    if (list.length === 0) return false;
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step) setAt((at + step + list.length) % list.length);
    else if (event.key === 'Enter' || event.key === 'Tab') choose(at);
    else if (event.key === 'Escape') close();
    else return false;
    event.preventDefault();
    return true;
  };
  return { list, at, open: list.length > 0, look, choose, close, onKeyDown };
}

/** Those who may be meant: the members of the room, or the two of a direct conversation. */
async function candidates({ chat, name, room }, beginning, members) {
  if (room && chat && !members.current) {
    const reply = await connection.call('list_members', { room: { conversation: chat.id }, limit: 200 });
    members.current = (reply.members ?? []).map((member) => member.name).filter(Boolean);
    members.more = Boolean(reply.more);
  }
  const all = room ? (members.current ?? []) : [name, me.value.name];
  const begins = (word) => word.toLowerCase().startsWith(beginning);
  const called = (one) => people.display(one).split(/\s+/).some(begins);
  const found = [...all.filter(begins), ...all.filter((one) => !begins(one) && called(one))];
  if (members.more && beginning && found.length < SHOWN) {
    for (const account of await people.search(`${beginning}*`, SHOWN)) if (!found.includes(account.name)) found.push(account.name);
  }
  return found.map((one) => ({ insert: `@${one}`, name: one, label: people.display(one) }));
}

export function Completion({ completion }) {
  const { list, at, choose } = completion;
  if (list.length === 0) return null;
  return html`<div class="popup" id="completion" role="listbox" aria-label="Completions">
    ${list.map((one, index) => html`<div class="option" id=${`completion-${index}`} key=${one.insert} role="option" aria-selected=${index === at ? 'true' : 'false'}
      onPointerDown=${(event) => {
        event.preventDefault();
        choose(index);
      }}>
      ${one.glyph ? html`<span class="glyph">${one.glyph}</span>` : html`<${Avatar} name=${one.label} by=${one.name} size="small" />`}
      <span class="cut"><bdi>${one.label}</bdi></span>${one.name && one.name !== one.label && html`<span class="soft small">@${one.name}</span>`}
    </div>`)}
  </div>`;
}
