// The messages of a conversation, scrolled. Promises: what one looks at does not move when something comes, goes or is loaded; at the
// end it stays at the end; and no more is in the page than the timeline's window.

import { Component, createRef, html } from '../preact.js';
import { me, outbox } from '../state/app.js';
import { dayKey, dayName } from '../text/time.js';
import { Icon } from '../ui/icon.js';
import { Beginning, Notice } from './beginning.js';
import { Message, removeMessages } from './message.js';

const NEAR_PX = 700;
const BOTTOM_PX = 48;
const QUIET_MS = 1000;
const GROUP_MS = 5 * 60 * 1000;

export class MessageList extends Component {
  constructor(props) {
    super(props);
    this.scroller = createRef();
    this.atBottom = true;
    /** Where it was scrolled to, as far as it was told. */
    this.top = 0;
    this.placed = false;
    this.target = 0;
    this.state = { away: false, missed: 0 };
    this.onScroll = this.onScroll.bind(this);
    this.onKey = this.onKey.bind(this);
    this.toNewest = this.toNewest.bind(this);
  }

  componentDidMount() {
    // The composer grows, a keyboard opens, a picture comes: who was at the end stays there.
    this.observer = new ResizeObserver(() => {
      this.leaves();
      if (this.atBottom && this.placed) this.follow();
    });
    this.observer.observe(this.scroller.current);
    this.observer.observe(this.scroller.current.firstElementChild);
    this.place();
  }

  componentWillUnmount() {
    this.observer.disconnect();
    this.props.timeline.pinned = false;
    this.props.timeline.sight = null;
  }

  getSnapshotBeforeUpdate() {
    if (!this.scroller.current) return null;
    this.leaves();
    return this.inSight();
  }

  /** The first message in sight, which is what stays where it is. */
  inSight() {
    const top = this.scroller.current.getBoundingClientRect().top;
    for (const row of this.scroller.current.querySelectorAll('[data-id]')) {
      const box = row.getBoundingClientRect();
      if (box.bottom > top) return { id: row.dataset.id, offset: box.top - top };
    }
    return null;
  }

  /** Whoever has just scrolled up is at the end no more, though the browser tells of it only before the next frame. */
  leaves() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller.current;
    if (scrollTop < this.top - 1 && scrollHeight - scrollTop - clientHeight >= BOTTOM_PX) this.atBottom = false;
  }

  componentDidUpdate(before, _, anchor) {
    const { timeline, target, writes } = this.props;
    if (!this.props.message) this.target = 0;
    if (timeline.phase !== 'ready') this.placed = false;
    if (!this.placed || (target && target !== this.target)) {
      this.place();
      return;
    }
    // What one sends oneself is followed.
    const sent = writes.length > before.writes.length && writes.at(-1)?.note?.at > Date.now() - 2000;
    if (sent && timeline.newer) timeline.load().then(() => this.toBottom());
    if (sent) this.toBottom();
    else if (this.atBottom && !timeline.newer) this.follow();
    else if (anchor) this.keep(anchor);
    if (!this.atBottom && timeline.arrivals !== this.arrivals) this.setState({ missed: this.state.missed + timeline.arrivals - (this.arrivals ?? 0) });
    this.arrivals = timeline.arrivals;
    this.fill();
  }

  keep({ id, offset }) {
    const scroller = this.scroller.current;
    const row = scroller.querySelector(`[data-id="${id}"]`);
    if (!row) return;
    const moved = this.below(row) - offset;
    if (Math.abs(moved) > 0.5) scroller.scrollTop += moved;
  }

  /** The first place: the message that was asked for, the first unread one, or the end. */
  place() {
    const { timeline, target } = this.props;
    const scroller = this.scroller.current;
    if (timeline.phase !== 'ready' || !scroller) return;
    this.placed = true;
    timeline.sight = () => {
      this.leaves();
      const seen = Number(this.inSight()?.id ?? 0);
      // What is on its way has no place yet, and lies at the end.
      return this.atBottom || !timeline.has(seen) ? 0 : seen;
    };
    this.arrivals = timeline.arrivals;
    this.target = target;
    const row = target && scroller.querySelector(`[data-id="${target}"]`);
    if (row) {
      scroller.scrollTop += this.below(row) - scroller.clientHeight / 3;
      row.focus({ preventScroll: true });
      this.onScroll();
    } else {
      this.toBottom();
      this.toLine();
    }
    this.fill();
  }

  /** Stays at the end; while one looks elsewhere, no further than the place where reading ended stays in sight. */
  follow() {
    this.toBottom();
    if (this.props.chat?.unread && !document.hasFocus()) this.toLine();
  }

  /** To the first unread message, if it is above what is in sight. */
  toLine() {
    const line = this.scroller.current.querySelector('.new-line');
    const top = line ? this.below(line) : 0;
    if (top < 0) this.scroller.current.scrollTop += top - 60;
    this.onScroll();
  }

  /** How far something is below the upper edge. */
  below(row) {
    return row.getBoundingClientRect().top - this.scroller.current.getBoundingClientRect().top;
  }

  toBottom() {
    const scroller = this.scroller.current;
    if (scroller) scroller.scrollTop = scroller.scrollHeight;
    this.onScroll();
  }

  async toNewest() {
    const { timeline } = this.props;
    if (timeline.newer) await timeline.load();
    this.toBottom();
  }

  onScroll() {
    const scroller = this.scroller.current;
    const { timeline, onBottom } = this.props;
    if (!scroller) return;
    this.top = scroller.scrollTop;
    const rest = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight;
    this.atBottom = rest < BOTTOM_PX && !timeline.newer;
    timeline.pinned = !this.atBottom;
    onBottom?.(this.atBottom);
    const away = rest > 600 || timeline.newer;
    if (away !== this.state.away || (this.atBottom && this.state.missed)) this.setState({ away, missed: this.atBottom ? 0 : this.state.missed });
    this.fill();
  }

  /** Loads what will soon be looked at. */
  fill() {
    const scroller = this.scroller.current;
    const { timeline } = this.props;
    if (!this.placed || !scroller || timeline.busy) return;
    if (scroller.scrollTop < NEAR_PX && timeline.older) this.quietly(timeline.more('older'));
    else if (scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX && timeline.newer) this.quietly(timeline.more('newer'));
  }

  /** Screen readers tell what comes, and not what is only loaded. */
  async quietly(loading) {
    const scroller = this.scroller.current;
    clearTimeout(this.quiet);
    scroller.setAttribute('aria-live', 'off');
    await loading;
    clearTimeout(this.quiet);
    this.quiet = setTimeout(() => scroller.setAttribute('aria-live', 'polite'), QUIET_MS);
  }

  /** Arrows go from message to message; what can be done with one is in its buttons. */
  onKey(event) {
    const row = event.target.closest?.('[data-id]');
    if (event.target !== row && event.target !== this.scroller.current) return;
    const rows = [...this.scroller.current.querySelectorAll('[data-id][tabindex]')];
    const at = rows.indexOf(row);
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step) {
      const next = at < 0 ? rows.at(-1) : rows[Math.min(rows.length - 1, Math.max(0, at + step))];
      next?.focus();
      event.preventDefault();
    } else if (event.key === 'End') {
      this.toNewest();
      event.preventDefault();
    } else if (row) this.shortcut(event, Number(row.dataset.id));
  }

  shortcut(event, id) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { host, messages } = this.props;
    const message = messages.find((one) => one.id === id);
    if (!message) return;
    const own = message.author === me.value?.account;
    if (event.key === 'Enter') event.target.querySelector('.actions button:last-child')?.click();
    else if (event.key === 'Delete' && (own || !event.shiftKey)) removeMessages(message.conversation, [id], event.shiftKey);
    else if (message.deleted) return;
    else if (event.key === 'x') event.target.querySelector('.actions button')?.click();
    else if (event.key === 'r') host.reply(id);
    else if (event.key === 'e' && own) host.edit(message);
    else return;
    event.preventDefault();
  }

  render({ timeline, messages, writes, chat, unreadFrom, host, peerReadUpTo, target, name, room, chosen }) {
    const failed = timeline.phase === 'failed';
    return html`<div class="scroller" ref=${this.scroller} onScroll=${this.onScroll} onKeyDown=${this.onKey} tabindex="0" role="log" aria-live="polite"
        aria-label="Messages" aria-busy=${timeline.phase === 'loading' ? 'true' : undefined}>
        <div class="column filled">
          ${timeline.phase === 'ready' && !timeline.older && html`<${Beginning} chat=${chat} name=${name} room=${room} empty=${timeline.messages.length + writes.length === 0} />`}
          ${failed && html`<p class="notice" role="alert">${timeline.fault?.message} <button class="link-button" onClick=${() => timeline.load()}>Try again</button></p>`}
          ${this.rows(timeline, messages, writes, unreadFrom, host, peerReadUpTo, target, chat, chosen)}
        </div>
      </div>
      <div class="below">
        ${(this.state.away || this.state.missed > 0) &&
        html`<button class="to-newest" onClick=${this.toNewest}><${Icon} name="down" size=${16} />${this.state.missed > 0 ? `${this.state.missed} new` : 'Newest'}</button>`}
      </div>`;
  }

  rows(timeline, messages, writes, unreadFrom, host, peerReadUpTo, target, chat, chosen) {
    const account = me.value?.account;
    const made = [];
    let before = null;
    let marked = !unreadFrom;
    const pending = writes.map((write) => pendingMessage(write, account));
    const all = [...messages, ...pending];
    all.forEach((message, place) => {
      const day = dayKey(message.time_ms);
      const newDay = !before || dayKey(before.time_ms) !== day;
      if (newDay) made.push(html`<div class="day" key=${`day ${day}`} role="separator" aria-label=${dayName(message.time_ms)}><span>${dayName(message.time_ms)}</span></div>`);
      const own = message.author === account;
      const line = !marked && message.id > unreadFrom && !own && !message.notice;
      if (line) {
        marked = true;
        made.push(html`<div class="new-line" key="new" role="separator" aria-label="New messages"><span>New</span></div>`);
      }
      if (message.notice) made.push(html`<${Notice} key=${message.id} message=${message} />`);
      else {
        const next = all[place + 1];
        const first = newDay || line || !goesWith(before, message);
        const last = !next || dayKey(next.time_ms) !== day || !goesWith(message, next);
        const key = message.write?.note?.key ?? timeline.keys.get(message.id) ?? message.id;
        made.push(html`<${Message} key=${key} message=${message} own=${own} first=${first} last=${last}
          seen=${own && !message.write && message.id <= peerReadUpTo} quote=${message.reply_to ? timeline.quote(message.reply_to) : null} found=${message.id === target} chosen=${message.write ? null : chosen?.has(message.id)}
          host=${this.host(host)} direct=${!chat?.room} me=${me.value?.name ?? ''} />`);
      }
      before = message;
    });
    return made;
  }

  /** One object for all messages, so that they need not be drawn again because it is a new one. */
  host(host) {
    this.lasting ??= {};
    return Object.assign(this.lasting, host, OUTBOX);
  }
}

/** What was not sent, where there is no list that it could stand in. */
export function Unsent({ writes }) {
  return html`<div class="column">
    ${writes.map((write) => html`<${Message} key=${write.key ?? write.note?.key} message=${pendingMessage(write, me.value?.account)} own=${true} first=${true} last=${true} host=${OUTBOX} />`)}
  </div>`;
}

const OUTBOX = { retry: (write) => outbox.retry(write), discard: (write) => outbox.discard(write) };

/** Whether two messages belong to one group: same author, shortly after, nothing in between. */
function goesWith(before, message) {
  return before && !before.notice && !message.notice && before.author === message.author && message.time_ms - before.time_ms < GROUP_MS;
}

function pendingMessage(write, account) {
  const send = write.operation.send ?? write.operation.edit;
  return {
    id: Number.MAX_SAFE_INTEGER,
    write,
    author: account,
    author_name: me.value?.name ?? '',
    author_display_name: me.value?.display ?? '',
    body: send.body ?? '',
    reply_to: send.reply_to ?? 0,
    time_ms: write.note?.at ?? Date.now(),
    attachments: write.note?.files ?? [],
  };
}
