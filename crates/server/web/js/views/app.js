// The page as a whole: signed in or out, the list beside what is open, and the line that says when something is amiss.

import { html, useEffect, useErrorBoundary } from '../preact.js';
import { chats, connection, farewell, me, phase } from '../state/app.js';
import { narrow } from '../state/look.js';
import { route } from '../state/route.js';
import { close as closeDialog, DialogHost } from '../ui/dialog.js';
import { close as closePopup, PopupHost } from '../ui/popup.js';
import { Toasts } from '../ui/toast.js';
import { ClusterPage } from '../cluster/page.js';
import { Admin } from './admin.js';
import { Banner } from './banner.js';
import { Conversation } from './conversation.js';
import { NewChat } from './new_chat.js';
import { Rooms } from './rooms.js';
import { Search } from './search.js';
import { Settings } from './settings.js';
import { Sidebar } from './sidebar.js';
import { SignIn } from './sign_in.js';
import { Welcome } from './welcome.js';

const CHAT_VIEWS = new Set(['c', 'room', 'k']);

const PAGES = { __proto__: null, settings: Settings, admin: Admin, search: Search, new: NewChat, rooms: Rooms, cluster: ClusterPage };

export function App() {
  const [fault, again] = useErrorBoundary((error) => console.error(error));
  useTitle();
  // Nothing of one account stays in sight of another.
  useEffect(() => () => {
    closeDialog();
    closePopup();
  }, [me.value?.account]);
  if (fault) return html`<${Broken} fault=${fault} again=${again} />`;
  if (phase.value === 'starting') return null;
  const { view, name } = route.value;
  if (phase.value === 'out') {
    if (view === 'cluster') return html`<div class="frame single"><${Banner} /><main class="main" id="main"><${ClusterPage} /></main></div>`;
    return html`<${SignIn} farewell=${farewell.value} /><${Toasts} />`;
  }
  const open = CHAT_VIEWS.has(view) || view in PAGES;
  const place = conversationKey(view, name);
  if (narrow.value && !open) {
    return html`<div class="frame single">
        <${Banner} />
        <main class="main" id="main" tabindex="-1"><h1 class="hidden-visually">Conversations</h1><${Sidebar} /></main>
      </div>
      <${DialogHost} /><${Toasts} />`;
  }
  return html`<div class=${narrow.value ? 'frame single' : 'frame'}>
      <a class="skip" href="#main" onClick=${skip}>Skip to the conversation</a>
      <${Banner} />
      ${!narrow.value && html`<${Sidebar} />`}
      <main class="main" id="main" tabindex="-1" key=${connection.token}>
        ${CHAT_VIEWS.has(view) && html`<${Conversation} key=${place} place=${place} view=${view} name=${name} message=${route.value.message} />`}
        ${view in PAGES && html`<${PAGES[view]} key=${view} />`}
        ${!open && html`<${Welcome} />`}
        <${PopupHost} />
      </main>
    </div>
    <${DialogHost} /><${Toasts} />`;
}

/** What a conversation is kept by: `chatKey` of it, also while the list of conversations is not known. */
function conversationKey(view, name) {
  chats.version.value;
  const room = view === 'room' && (chats.room(name)?.id ?? chats.lastOpen(name));
  return room ? `k/${room}` : `${view}/${name.toLowerCase()}`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById('main')?.focus();
}

/** How much is unread stands in the title. */
function useTitle() {
  const signedIn = phase.value === 'in';
  const version = chats.version.value;
  const unread = signedIn ? chats.unread() : 0;
  const { view, name } = route.value;
  const lost = connection.state.value === 'reconnecting';
  useEffect(() => {
    const place = view === 'room' ? `#${name} · ` : view === 'c' ? `${name} · ` : '';
    document.title = `${unread ? `(${unread > 99 ? '99+' : unread}) ` : ''}${signedIn ? place : ''}Threefold${lost ? ' (reconnecting)' : ''}`;
  }, [version, unread, view, name, lost, signedIn]);
}

function Broken({ fault, again }) {
  return html`<main class="empty" role="alert">
    <h1>Something in this page went wrong</h1>
    <p>Nothing that you wrote is lost. ${me.value && 'You are still signed in.'}</p>
    <p class="small">${String(fault.message ?? fault)}</p>
    <div class="row">
      <button class="button main" onClick=${again}>Go on</button>
      <button class="button" onClick=${() => location.reload()}>Load the page again</button>
    </div>
  </main>`;
}
