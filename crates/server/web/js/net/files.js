// Attachments over plain HTTP, at whichever server this page talks with: up with progress, down as something to show or to save.

import { effect } from '../preact.js';
import { connection, phase } from '../state/app.js';
import { Refused, unavailable } from './connection.js';
import { address } from './servers.js';

/** Without progress for so long, a server is taken to hang. */
const STALLED_MS = 30000;
const TRIES = 4;
const PAUSE_MS = 700;
/** Pictures that are kept for showing again; older ones are let go. */
const KEPT = 120;

/** Sends a file up. `progress(part)` hears 0 to 1. What broke off is begun again, at a server that lives. */
export function upload(file, progress, signal) {
  return tried(() => uploadOnce(file, progress, signal), signal);
}

function uploadOnce(file, progress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const name = encodeURIComponent(file.name || 'file');
    request.open('POST', address(connection.servers.current(), `/attachments?name=${name}`, 'http'));
    request.setRequestHeader('authorization', `Bearer ${connection.token}`);
    request.setRequestHeader('content-type', file.type || 'application/octet-stream');
    const cancelled = new Refused({ code: 'cancelled', message: 'Taken back.' });
    let why = cancelled;
    let timer = 0;
    const patience = () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        why = unavailable('The server does not go on.');
        request.abort();
      }, STALLED_MS);
    };
    request.onloadend = () => clearTimeout(timer);
    request.upload.onprogress = (event) => {
      patience();
      if (event.lengthComputable) progress(event.loaded / event.total);
    };
    request.onload = () => {
      const reply = parsed(request.responseText);
      if (request.status === 201) resolve({ attachment: reply.id, name: reply.name, content_type: reply.content_type, bytes: reply.bytes });
      else reject(refusal(request.status, reply));
    };
    request.onerror = () => reject(unavailable('The connection broke off.'));
    request.onabort = () => reject(why);
    if (signal?.aborted) {
      reject(cancelled);
      return;
    }
    signal?.addEventListener('abort', () => request.abort());
    patience();
    request.send(file);
  });
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
}

function refusal(status, { error, code } = {}) {
  const retry = status === 503 || status === 0;
  return new Refused({ code: retry ? 'unavailable' : (code ?? 'failed').toLowerCase(), message: error ?? `The server answered ${status}.` });
}

async function tried(once, signal) {
  for (let count = 1; ; count += 1) {
    try {
      return await once();
    } catch (error) {
      if (error.code !== 'unavailable' || count === TRIES || signal?.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * count));
    }
  }
}

const pictures = new Map();

effect(() => {
  if (phase.value === 'in') return;
  for (const address of pictures.values()) address.then(({ url }) => URL.revokeObjectURL(url), () => {});
  pictures.clear();
});

/** The address of an attached file's content, or of a small picture of it, for as long as this page lives. */
export function content(message, file, small = false) {
  const path = `/attachments/${message.conversation}/${message.id}/${file.attachment}${small ? '?thumbnail' : ''}`;
  let known = pictures.get(path);
  if (!known) {
    known = tried(() => fetchOnce(path));
    known.catch(() => pictures.delete(path));
  } else pictures.delete(path);
  pictures.set(path, known);
  for (const old of pictures.keys()) {
    if (pictures.size <= KEPT) break;
    letGo(old);
  }
  return known;
}

/** Somebody may be using it at this moment. */
function letGo(path) {
  pictures.get(path)?.then(({ url }) => setTimeout(() => URL.revokeObjectURL(url), 60000), () => {});
  pictures.delete(path);
}

/** What a server that the page has left has not begun to answer is asked of the next one: the first may hang. What is on its way goes on. */
const unanswered = new Set();
effect(() => {
  if (connection.server.value) for (const one of unanswered) one.abort();
});

async function fetchOnce(path) {
  const control = new AbortController();
  const { signal } = control;
  let timer = 0;
  const patience = () => {
    clearTimeout(timer);
    timer = setTimeout(() => control.abort(), STALLED_MS);
  };
  const through = new TransformStream({
    transform(chunk, to) {
      patience();
      to.enqueue(chunk);
    },
  });
  let response;
  let blob;
  try {
    unanswered.add(control);
    response = await fetch(address(connection.servers.current(), path, 'http'), { headers: { authorization: `Bearer ${connection.token}` }, signal });
    unanswered.delete(control);
    patience();
    blob = await new Response(response.body.pipeThrough(through), response).blob();
  } catch {
    throw unavailable('The connection broke off.');
  } finally {
    unanswered.delete(control);
    clearTimeout(timer);
  }
  if (!response.ok) throw Object.assign(refusal(response.status, parsed(await blob.text())), { answered: true });
  return { url: URL.createObjectURL(blob), type: blob.type, path };
}

/** Saves a file where the browser saves files. Only pictures are shown again. */
export async function save(message, file) {
  const { url, type, path } = await content(message, file);
  const link = document.createElement('a');
  link.href = url;
  link.download = file.name;
  link.click();
  if (!type.startsWith('image/')) letGo(path);
}
