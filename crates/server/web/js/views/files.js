// What is attached to a message: pictures shown small, other files named, each to be saved.

import { html, useEffect, useState } from '../preact.js';
import { content, save } from '../net/files.js';
import { size } from '../text/time.js';
import { Dialog, open } from '../ui/dialog.js';
import { Icon } from '../ui/icon.js';
import { say } from '../ui/toast.js';

const PICTURES = /^image\/(png|jpeg|gif|webp)$/;
/** Smaller ones are shown as they are: a thumbnail saves nothing, and does not move. */
const WHOLE_BYTES = 4e4;
/** Where there is no thumbnail, larger pictures are shown when they are asked for. */
const SHOWN_BYTES = 6e6;
/** Where no server could be asked. */
const AGAIN_MS = 3000;

export function Files({ message }) {
  const files = message.attachments;
  const pictures = files.filter(isPicture);
  return html`<div class="files ${pictures.length > 1 ? 'many' : ''}">
    ${files.map((file) => (isPicture(file) && !message.write ? html`<${Picture} key=${file.attachment} message=${message} file=${file} />` : html`<${File} key=${file.attachment} message=${message} file=${file} />`))}
  </div>`;
}

function isPicture(file) {
  return PICTURES.test(file.content_type ?? '');
}

function File({ message, file }) {
  const download = () => save(message, file).catch((error) => say(`${file.name}: ${error.message}`));
  return html`<button class="file" onClick=${download} disabled=${Boolean(message.write)} aria-label=${`Save ${file.name}, ${size(file.bytes ?? 0)}`}>
    <${Icon} name="file" /><span class="grow cut"><bdi>${file.name}</bdi></span><span class="soft small">${size(file.bytes ?? 0)}</span>
  </button>`;
}

function Picture({ message, file }) {
  // 'small', 'whole', 'ask' (before it is loaded whole), or 'none': only its name.
  const [how, setHow] = useState(file.bytes > WHOLE_BYTES ? 'small' : 'whole');
  const [shown, setShown] = useState(null);
  const small = how === 'small';
  const failed = (error) => {
    setShown(null);
    // Where there is none just now, the whole file would only add to what the server has to do.
    setHow(!small ? 'none' : error?.code === 'unavailable' || file.bytes > SHOWN_BYTES ? 'ask' : 'whole');
  };
  useEffect(() => {
    if (how === 'ask' || how === 'none') return undefined;
    let here = true;
    let timer = 0;
    const load = () => content(message, file, small).then(
      // Only what the server found to be a picture is one, whatever its author calls it.
      (found) => here && (PICTURES.test(found.type) ? setShown(found.url) : failed()),
      (error) => {
        if (!here) return;
        if (error.code === 'unavailable' && !(small && error.answered)) timer = setTimeout(load, AGAIN_MS);
        else failed(error);
      },
    );
    load();
    return () => {
      here = false;
      clearTimeout(timer);
    };
  }, [how, file.attachment]);
  if (how === 'none') return html`<${File} message=${message} file=${file} />`;
  const enlarge = () => {
    if (how === 'ask') setHow('whole');
    else if (shown) open((close) => html`<${Enlarged} message=${message} file=${file} shown=${shown} small=${small} close=${close} />`);
  };
  return html`<button class="picture" onClick=${enlarge} aria-label=${`Picture ${file.name}`}>
    ${shown ? html`<img src=${shown} alt=${file.name} onError=${failed} />` : html`<span>
      ${how === 'ask' ? `Show the picture, ${size(file.bytes)}` : 'Loading …'}</span>`}
  </button>`;
}

/** The whole picture, and until it is there the small one. */
function Enlarged({ message, file, shown, small, close }) {
  const [url, setUrl] = useState(shown);
  useEffect(() => {
    if (small) content(message, file).then((found) => setUrl(found.url), (error) => say(`${file.name}: ${error.message}`));
  }, []);
  return html`<${Dialog} title=${file.name} kind="picture-view" onClose=${close}>
    <img src=${url} alt=${file.name} />
    <div class="dialog-foot"><button class="button" onClick=${() => save(message, file)}><${Icon} name="download" />Save</button></div>
  <//>`;
}
