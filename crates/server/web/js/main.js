// Begins the page. What is not seen stands first: with it the connection is opened (net/early.js), before all else is made ready.

import { html, render } from './preact.js';
import { begin } from './state/app.js';
import { applyLook } from './state/look.js';
import { App } from './views/app.js';

applyLook();
begin();
const root = document.getElementById('app');
root.replaceChildren();
render(html`<${App} />`, root);
