// Who reacted to a message with what.

import { html, useEffect, useState } from '../preact.js';
import { connection } from '../state/app.js';
import { Dialog, open } from '../ui/dialog.js';
import { Avatar } from '../ui/avatar.js';

export function showReactions(message) {
  open((close) => html`<${ReactedBy} message=${message} close=${close} />`);
}

function ReactedBy({ message, close }) {
  const [list, setList] = useState(null);
  useEffect(() => {
    const request = { conversation: message.conversation, message: message.id, limit: 200, position: connection.cursor };
    connection.call('list_reactions', request).then((reply) => setList(reply.reactions ?? []), () => setList([]));
  }, []);
  return html`<${Dialog} title="Reactions" onClose=${close}>
    <ul class="list" aria-busy=${list ? undefined : 'true'}>
      ${list?.map((one) => html`<li key=${`${one.emoji}${one.account}`}>
        <${Avatar} name=${one.name || ''} size="small" /><bdi class="grow cut">${one.name || 'deleted user'}</bdi><span>${one.emoji}</span>
      </li>`)}
    </ul>
  <//>`;
}
