// A list that is asked for page by page.

import { useEffect, useState } from '../preact.js';
import { say } from './toast.js';

/** Between two questions while somebody types. */
const PAUSE_MS = 150;

/** `load(last)` gives {list, more}, behind the last one that is known, or from the beginning. It is asked again when one of `by` changes, after a
 * pause where it is `typed`. Returns what is known so far, null before that, and what asks for more. */
export function usePages(load, typed, by) {
  const [page, setPage] = useState(null);
  useEffect(() => {
    let here = true;
    const begin = () => load().then((found) => here && setPage(found), (error) => here && say(error.message));
    const timer = setTimeout(begin, typed ? PAUSE_MS : 0);
    return () => {
      here = false;
      clearTimeout(timer);
    };
  }, by);
  const more = async () => {
    const next = await load(page.list.at(-1)).catch((error) => say(error.message));
    if (next) setPage((now) => (now === page ? { list: [...page.list, ...next.list], more: next.more } : now));
  };
  return [page, more];
}
