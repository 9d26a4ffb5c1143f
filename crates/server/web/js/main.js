// Begins the page.

import { html, render } from './preact.js';
import { begin } from './state/app.js';
import { applyLook } from './state/look.js';
import { App } from './views/app.js';

applyLook();
begin();
const root = document.getElementById('app');
root.replaceChildren();
render(html`<${App} />`, root);
