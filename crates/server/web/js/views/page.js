// A page beside the list: a head with a title, and a column.

import { html } from '../preact.js';
import { Icon } from '../ui/icon.js';

export function Page({ title, children, tools }) {
  return html`<header class="head">
      <a class="icon-button only-narrow" href="#/" aria-label="Back to the list"><${Icon} name="back" /></a>
      <h1 class="grow cut">${title}</h1>
      ${tools}
    </header>
    <div class="page" tabindex="-1"><div class="page-column">${children}</div></div>`;
}
