// Where messages are written: several lines, answers and edits, files with their progress, completion of names and emoji, and a draft
// that stays with its conversation until it is sent.

import { html, useEffect, useLayoutEffect, useRef, useState } from '../preact.js';
import { randomHex } from '../net/storage.js';
import { act, connection, me, outbox, typing } from '../state/app.js';
import { draft, keepDraft, onDraftElsewhere } from '../state/drafts.js';
import { plain } from '../text/markdown.js';
import { Icon } from '../ui/icon.js';
import { openPopup } from '../ui/popup.js';
import { say } from '../ui/toast.js';
import { EmojiGrid } from './emoji_grid.js';
import { Completion, useCompletion } from './completion.js';
import { Uploads, useUploads } from './uploads.js';

const BODY_BYTES = 16 * 1024;
const bytesOf = (text) => (text.length * 3 <= BODY_BYTES ? 0 : new TextEncoder().encode(text).length);

export function Composer({ place, chat, to, name, room, timeline, messages, editing, stopEditing, edit, replyTo, setReply }) {
  const kept = useRef(null);
  kept.current ??= draft(place);
  const [written, setWritten] = useState(kept.current.text);
  /** The new text of the message that is being edited, once it has been touched. */
  const [edited, setEdited] = useState(null);
  const text = !editing ? written : edited?.of === editing ? edited.text : (editing.draft ?? editing.body);
  const setText = (next) => (editing ? setEdited({ of: editing, text: next }) : setWritten(next));
  const area = useRef(null);
  const uploads = useUploads(place, kept.current.files);

  useLayoutEffect(() => {
    if (kept.current.reply) setReply(kept.current.reply);
    if (kept.current.edit) edit(kept.current.edit);
  }, []);
  useEffect(() => {
    if (matchMedia('(pointer: fine)').matches) area.current.focus({ preventScroll: true });
  }, []);

  // The draft is kept at every change, before anything else can happen: what waits for the next picture never runs when the
  // conversation is left before it.
  const last = useRef(JSON.stringify(kept.current));
  useLayoutEffect(() => {
    const next = { text: written, reply: replyTo, files: uploads.done, ...(editing && text !== editing.body && { edit: { id: editing.id, conversation: editing.conversation, body: editing.body, draft: text } }) };
    const whole = JSON.stringify(next);
    // What was found, or taken from another tab, is not kept again: that tab may have gone on.
    if (whole !== last.current) keepDraft(place, next);
    last.current = whole;
  }, [written, text, replyTo, uploads.done, editing]);
  // From the first drawing on: what another tab writes after the draft was read must not be missed.
  useLayoutEffect(() => onDraftElsewhere(place, (other) => {
    const { edit: _, ...rest } = other;
    last.current = JSON.stringify(rest);
    setWritten(other.text);
    setReply(other.reply);
    uploads.take(other.files);
  }), []);

  useLayoutEffect(() => {
    if (editing) area.current.focus();
  }, [editing?.id]);
  useEffect(() => {
    if (replyTo) area.current.focus();
  }, [replyTo]);

  useLayoutEffect(() => {
    const { style } = area.current;
    style.height = 'auto';
    style.height = `${area.current.scrollHeight + 1}px`;
  }, [text]);

  const completion = useCompletion(area, text, setText, { chat, name, room });
  const bytes = bytesOf(text);
  const tooLong = bytes > BODY_BYTES;
  const body = text.trim();
  const sendable = !tooLong && (editing ? body && body !== editing.body : (body || uploads.done.length > 0) && !uploads.busy && !uploads.failed);

  const submit = () => {
    if (!sendable) {
      if (editing && body === editing.body) stopEditing();
      if (uploads.failed) say('A file was not sent up: try it again, or remove it.');
      else if (uploads.busy) say('A file is still being sent up.');
      return;
    }
    if (editing) {
      act({ edit: { conversation: editing.conversation, message: editing.id, body } }, { note: { place, key: randomHex(6), at: Date.now() } });
      stopEditing();
    } else {
      const files = uploads.done;
      const send = { to, body, ...(replyTo && { reply_to: replyTo }), ...(files.length && { attachments: files.map((file) => file.attachment) }) };
      outbox.write({ send }, { place, key: randomHex(6), after: Math.max(connection.cursor, timeline.messages.at(-1)?.id ?? 0), at: Date.now(), files, peer: room ? '' : name, room });
      setWritten('');
      setReply(0);
      uploads.clear();
      typing.rest();
    }
    area.current.focus();
  };

  const onKeyDown = (event) => {
    // 229: the key that ended a composition, where browsers tell of the end first.
    if (event.isComposing || event.keyCode === 229 || completion.onKeyDown(event)) return;
    const coarse = matchMedia('(pointer: coarse)').matches && !matchMedia('(any-pointer: fine)').matches;
    if (event.key === 'Enter' && !event.shiftKey && !coarse) {
      event.preventDefault();
      submit();
    } else if (event.key === 'Escape' && (editing || replyTo)) {
      event.preventDefault();
      if (editing) stopEditing();
      else setReply(0);
    } else if (event.key === 'ArrowUp' && text === '' && !editing) {
      const mine = messages.findLast((message) => message.author === me.value?.account && !message.deleted && message.body);
      if (mine) {
        event.preventDefault();
        edit(mine);
      }
    }
  };
  const onInput = (event) => {
    setText(event.target.value);
    completion.look(event.target);
    if (event.target.value && !editing) typing.say(to);
  };
  const insert = (piece) => {
    const { selectionStart, selectionEnd } = area.current;
    setText(text.slice(0, selectionStart) + piece + text.slice(selectionEnd));
    area.current.focus();
    requestAnimationFrame(() => area.current?.setSelectionRange(selectionStart + piece.length, selectionStart + piece.length));
  };
  const pick = (event) => openPopup(event.currentTarget, 'Emoji', (close) => html`<${EmojiGrid} choose=${(emoji) => {
    close();
    insert(emoji);
  }} />`);
  const paste = (event) => {
    const files = [...(event.clipboardData?.files ?? [])];
    if (files.length === 0) return;
    event.preventDefault();
    uploads.add(files);
  };
  useDropping(area, uploads.add);

  const label = editing ? 'Edit the message' : `Message to ${room ? `#${chat?.name ?? name}` : name}`;
  return html`<div class="composer"><div class="column"><div class="box">
    <${Completion} completion=${completion} />
    ${editing && html`<div class="above"><${Icon} name="edit" size=${16} /><span class="grow cut">Editing a message</span><button class="icon-button"
      aria-label="Stop editing" onClick=${stopEditing}><${Icon} name="close" size=${16} /></button></div>`}
    ${!editing && replyTo > 0 && html`<${Replying} message=${timeline.quote(replyTo)} stop=${() => setReply(0)} />`}
    <${Uploads} uploads=${uploads} />
    <div class="line">
      <label class="icon-button" title="Attach files"><${Icon} name="attach" /><span class="hidden-visually">Attach files</span>
        <input type="file" multiple class="hidden-visually" disabled=${Boolean(editing)} onChange=${(event) => {
          uploads.add([...event.target.files]);
          event.target.value = '';
        }} /></label>
      <textarea ref=${area} rows="1" dir="auto" placeholder=${label} aria-label=${label} value=${text} onInput=${onInput} onKeyDown=${onKeyDown} onPaste=${paste}
        onClick=${(event) => completion.look(event.target)} onBlur=${() => setTimeout(completion.close, 150)}
        aria-autocomplete="list" aria-controls=${completion.open ? 'completion' : undefined}
          aria-activedescendant=${completion.open ? `completion-${completion.at}` : undefined}></textarea>
      <button class="icon-button" aria-label="Emoji" title="Emoji" onClick=${pick}><${Icon} name="emoji" /></button>
      <button class="icon-button send" aria-label=${editing ? 'Save the edit' : 'Send'} title=${editing ? 'Save' : 'Send'} onClick=${submit}
        disabled=${!sendable}><${Icon} name=${editing ? 'check' : 'send'} /></button>
    </div>
    ${bytes > BODY_BYTES * 0.9 && html`<p class=${tooLong ? 'fault' : 'soft small'}
      style=${{ padding: '0 .8rem .4rem' }} role=${tooLong ? 'alert' : undefined}>
      ${tooLong ? `Too long by ${bytes - BODY_BYTES} bytes. Send it in parts, or as a file.` : `${BODY_BYTES - bytes} bytes are left.`}</p>`}
  </div></div></div>`;
}

function Replying({ message, stop }) {
  const author = message?.author === me.value?.account ? 'yourself' : message?.author_display_name || message?.author_name || '…';
  return html`<div class="above"><${Icon} name="reply" size=${16} />
    <span class="grow cut">Answering <strong><bdi>${author}</bdi></strong>: <bdi>${plain(message?.body ?? '', 100)}</bdi></span>
    <button class="icon-button" aria-label="Do not answer" onClick=${stop}><${Icon} name="close" size=${16} /></button>
  </div>`;
}

/** Files may be dropped anywhere on the conversation. */
function useDropping(area, add) {
  const take = useRef(add);
  take.current = add;
  useEffect(() => {
    const zone = area.current.closest('.thread');
    if (!zone) return undefined;
    const has = (event) => event.dataTransfer?.types?.includes('Files');
    const over = (event) => {
      if (!has(event)) return;
      event.preventDefault();
      zone.classList.add('dropping');
    };
    const leave = (event) => !zone.contains(event.relatedTarget) && zone.classList.remove('dropping');
    const drop = (event) => {
      zone.classList.remove('dropping');
      if (!has(event)) return;
      event.preventDefault();
      take.current([...event.dataTransfer.files]);
    };
    const all = Object.entries({ dragover: over, dragleave: leave, drop });
    for (const [kind, listener] of all) zone.addEventListener(kind, listener);
    return () => {
      for (const [kind, listener] of all) zone.removeEventListener(kind, listener);
    };
  }, []);
}
