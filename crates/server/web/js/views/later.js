// A view whose code is fetched when it is first shown.

import { html, useEffect, useState } from '../../vendor/preact.js';

export function Later({ load, ...props }) {
  const [view, setView] = useState(null);
  const [failed, setFailed] = useState(false);
  const [tries, setTries] = useState(0);
  useEffect(() => {
    let here = true;
    load().then(
      (component) => here && setView(() => component),
      () => here && setFailed(true),
    );
    return () => {
      here = false;
    };
  }, [tries]);
  if (view) return html`<${view} ...${props} />`;
  if (!failed) return null;
  const again = () => {
    setFailed(false);
    setTries(tries + 1);
  };
  return html`<div class="empty" role="alert">
    <h2>This part of the page could not be fetched</h2>
    <p>The server that gave out this page may be down at the moment.</p>
    <button class="button main" onClick=${again}>Try again</button>
  </div>`;
}
