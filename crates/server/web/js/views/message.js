// One message: who, what, when, and what can be done with it. Drawn again only when something about it has changed.

import { Component, createRef, html, useEffect, useState } from '../preact.js';
import { act, connection, me, people } from '../state/app.js';
import { chatPath } from '../state/route.js';
import { onlyEmoji, plain, rich } from '../text/markdown.js';
import { fullTime, timeOfDay } from '../text/time.js';
import { ask } from '../ui/dialog.js';
import { Avatar } from '../ui/avatar.js';
import { Icon } from '../ui/icon.js';
import { menuItems, openPopup } from '../ui/popup.js';
import { say } from '../ui/toast.js';
import { Files } from './files.js';
import { EmojiGrid } from './emoji_grid.js';
import { showPerson, writeTo } from './person_row.js';
import { showReactions } from './reacted_by.js';

/** So many are deleted at once (a bound of the servers). */
const AT_ONCE = 100;
const COMPARED = ['message', 'own', 'first', 'last', 'seen', 'quote', 'found', 'direct', 'chosen'];

export class Message extends Component {
  constructor(props) {
    super(props);
    this.state = { near: false };
    this.row = createRef();
    this.come = () => this.state.near || this.setState({ near: true });
    // Its keys press its buttons.
    this.go = () => this.row.current.contains(document.activeElement) || this.setState({ near: false });
  }

  shouldComponentUpdate(next, state) {
    if (state.near !== this.state.near) return true;
    return COMPARED.some((name) => next[name] !== this.props[name]) && !sameWrite(next.message, this.props.message, next, this.props);
  }

  /** What has the focus may go: it stays in the list. */
  componentWillUnmount() {
    const row = this.row.current;
    if (row?.contains(document.activeElement)) row.closest('.scroller')?.focus({ preventScroll: true });
  }

  render({ message, own, first, last, seen, quote, found, host, direct, chosen }) {
    const { write } = message;
    const author = message.author_display_name || message.author_name || 'deleted user';
    const named = !own && message.mentions?.some((mention) => mention.account === me.value?.account);
    const big = !message.deleted && !message.attachments?.length && onlyEmoji(message.body ?? '');
    const classes = ['message', own && 'own', first && 'first', last && 'last', message.deleted && 'deleted', named && 'mentions-me', big && 'emoji-only', write?.why ? 'failed' : (write || message.waits) && 'pending', found && 'found'];
    return html`<article ref=${this.row} class=${classes.filter(Boolean).join(' ')} data-id=${message.id} tabindex="-1" onPointerEnter=${this.come}
      onPointerLeave=${this.go} onFocusIn=${this.come}
      aria-label=${`${own ? 'You' : author}, ${timeOfDay(message.time_ms)}${write?.why ? ', failed' : write || message.waits ? ', waiting to be sent' : ''}`}>
      ${!own && first && html`<${Avatar} name=${author} by=${message.author_name} size="small" />`}
      ${typeof chosen === 'boolean' && html`<input type="checkbox" class="choose" aria-label="Choose this message" checked=${chosen} onChange=${() => host.choose(message.id)} />`}
      <div class="body">
        ${!own && first && !direct && html`<div class="by"><bdi class="cut">${message.author_name ? html`<button class="cut" tabindex="-1" aria-haspopup="dialog"
          onClick=${(event) => showPerson(event.currentTarget, message.author_name)}>${author}</button>` : html`<strong>${author}</strong>`}</bdi></div>`}
        <div class="bubble">
          ${message.reply_to > 0 && html`<${Quote} quote=${quote} id=${message.reply_to} host=${host} />`}
          ${message.deleted ? 'Message deleted' : html`<${Text} message=${message} />`}
          ${message.attachments?.length > 0 && html`<${Files} message=${message} />`}
          ${(last || write || message.waits || message.edited_at_ms > 0) && html`<${Meta} message=${message} own=${own} seen=${seen} />`}
        </div>
        ${message.reactions?.length > 0 && html`<${Reactions} message=${message} />`}
        ${write?.why && html`<div class="fault-line" role="alert">Not sent: ${write.why}
          <button class="button slim" onClick=${() => host.retry(write)}>Try again</button>
          <button class="button slim" onClick=${() => host.discard(write)}>Discard</button>
        </div>`}
      </div>
      ${!write && html`<${Actions} message=${message} own=${own} host=${host} near=${this.state.near} />`}
    </article>`;
  }
}

/** A message on its way is made anew at every drawing; it is the same while its write is. */
function sameWrite(next, now, props, before) {
  return next.write && next.write === now.write && COMPARED.every((name) => name === 'message' || props[name] === before[name]);
}

function Text({ message }) {
  if (!message.body) return null;
  const mentions = (message.mentions ?? []).map((mention) => mention.name.toLowerCase());
  return html`<div class="text">${rich(message.body, { mentions, me: me.value?.name ?? '' })}</div>`;
}

function Meta({ message, own, seen }) {
  const { write } = message;
  const [icon, words] = write?.why ? ['warning', 'failed'] : write || message.waits ? ['clock', 'waiting to be sent'] : seen ? ['seen', 'read'] : ['check', 'sent'];
  return html`<div class="meta">
    ${message.edited_at_ms > 0 && !message.deleted && html`<span title=${fullTime(message.edited_at_ms)}>edited</span>`}
    <time title=${fullTime(message.time_ms)}>${timeOfDay(message.time_ms)}</time>
    ${own && (message.waits || !message.deleted) && html`<span title=${words}><${Icon} name=${icon} size=${14} /><span class="hidden-visually">${words}</span></span>`}
  </div>`;
}

function Quote({ quote, id, host }) {
  const author = quote && (quote.author === me.value?.account ? 'You' : people.display(quote.author_display_name || quote.author_name || 'deleted user'));
  const text = quote === undefined ? '…' : !quote || quote.deleted ? 'Message deleted' : plain(quote.body, 120) || quote.attachments?.[0]?.name || '';
  return html`<button class="quote" onClick=${() => quote && host.jump(id)} aria-label=${`Answer to ${author ?? 'a message'}: ${text}`}>
    ${author && html`<strong><bdi>${author}</bdi></strong>`}<span class="cut"><bdi>${text}</bdi></span>
  </button>`;
}

const react = (message, emoji, remove) => act({ react: { conversation: message.conversation, message: message.id, emoji, ...(remove && { remove }) } });

function Reactions({ message }) {
  return html`<div class="reactions">
    ${message.reactions.map(({ emoji, count, own, waits }) => html`<button key=${emoji} class=${waits ? 'reaction waits' : 'reaction'} aria-pressed=${own ? 'true' : 'false'}
      aria-label=${`${emoji} ${count}${own ? ', yours' : ''}${waits ? ', waiting to be sent' : ''}`}
      onClick=${() => react(message, emoji, own)}><span>${emoji}</span>${count}</button>`)}
  </div>`;
}

/** What can be done with a message. All of it is in the menu; the two things done most have buttons when one is near. */
function Actions({ message, own, host, near }) {
  const gone = message.deleted;
  const pick = (anchor) => openPopup(anchor, 'Reactions', (close) => html`<${EmojiGrid} choose=${(emoji) => {
    close();
    react(message, emoji, message.reactions?.some((one) => one.emoji === emoji && one.own));
  }} />`);
  const menu = ({ currentTarget: anchor }) => openPopup(anchor, 'Message', (close) => html`<${Menu} message=${message} own=${own} host=${host} close=${close} pick=${() => pick(anchor)} />`, { menu: true });
  return html`<div class="actions">
    ${near && !gone && html`<button class="icon-button" tabindex="-1" aria-label="React" title="React"
      onClick=${(event) => pick(event.currentTarget)}><${Icon} name="emoji" size=${18} /></button>
    <button class="icon-button" tabindex="-1" aria-label="Reply" title="Reply (r)" onClick=${() => host.reply(message.id)}><${Icon} name="reply" size=${18} /></button>`}
    <button class="icon-button" tabindex="-1" aria-label="More" title="More" onClick=${menu}><${Icon} name="more" size=${18} /></button>
  </div>`;
}

function Menu({ message, own, host, close, pick }) {
  const gone = message.deleted;
  const mayDelete = useMayDelete(message, own, host.chat);
  const item = menuItems(close);
  const copy = async (text, words) => {
    try {
      await navigator.clipboard.writeText(text);
      say(words);
    } catch {
      say('The browser does not let this page copy.');
    }
  };
  return html`
    ${!gone && item('reply', 'Reply', () => host.reply(message.id))}
    ${!gone && item('emoji', 'React', pick)}
    ${!gone && message.body && item('copy', 'Copy text', () => copy(message.body, 'Copied'))}
    ${host.chat && item('copy', 'Copy link', () => copy(`${location.origin}/#/${chatPath(host.chat, message.id)}`, 'Link copied'))}
    ${own && !gone && item('edit', 'Edit', () => host.edit(message))}
    ${!own && host.chat?.room && message.author_name && item('send', 'Write to the author', () => writeTo(message.author_name))}
    ${message.reactions?.length > 0 && item('people', 'Who reacted', () => showReactions(message))}
    ${item('check', 'Choose several', () => host.choose(message.id))}
    ${item('trash', 'Delete for me', () => remove(message, false), true)}
    ${mayDelete && !gone && item('trash', 'Delete for everyone', () => remove(message, true), true)}
  `;
}

/** For everyone: one's own, and, for those who lead a room, what its webhooks posted. */
function useMayDelete(message, own, chat) {
  const [may, setMay] = useState(own);
  useEffect(() => {
    if (own || !['owner', 'moderator'].includes(chat?.room?.role)) return;
    const request = { room: { conversation: chat.id }, position: connection.cursor };
    connection.call('list_webhooks', request).then(({ webhooks = [] }) => setMay(webhooks.some((one) => one.webhook === message.author)), () => {});
  }, []);
  return may;
}

const remove = (message, everyone) => removeMessages(message.conversation, [message.id], everyone);

/** Says whether it shall be done. */
export async function removeMessages(conversation, messages, everyone) {
  const words = everyone ? 'For all, and a mark stays in their place.' : 'From your devices. Others keep them.';
  const title = `Delete ${messages.length === 1 ? 'this message' : `${messages.length} messages`} for ${everyone ? 'everyone' : 'you'}?`;
  if (!(await ask({ title, words, action: 'Delete', danger: true }))) return false;
  for (let rest = messages; rest.length > 0; rest = rest.slice(AT_ONCE)) {
    act({ delete: { conversation, messages: rest.slice(0, AT_ONCE), ...(everyone && { for_everyone: true }) } });
  }
  return true;
}
