// The page's modules come in one go: `index.html` names all that the first sight needs, so that a slow network is crossed twice and not
// once for every step from module to module.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const WEB = join(dirname(fileURLToPath(import.meta.url)), '../crates/server/web');

/** The modules that a module imports, and those that they import. Imports made later (`import(...)`) are not among them. */
function needed(module, found = new Set()) {
  if (found.has(module)) return found;
  found.add(module);
  const source = readFileSync(join(WEB, module), 'utf8');
  for (const [, from] of source.matchAll(/^(?:import|export) [^;]*? from '(\.[^']+)';$|^import '(\.[^']+)';$/gm)) {
    needed(join(dirname(module), from), found);
  }
  return found;
}

test('index.html preloads every module that is needed at first, and no other', () => {
  const page = readFileSync(join(WEB, 'index.html'), 'utf8');
  const preloaded = [...page.matchAll(/<link rel="modulepreload" href="\/([^"]+)">/g)].map(([, path]) => path);
  const wanted = [...needed('js/main.js')].filter((module) => module !== 'js/main.js');
  assert.deepEqual(preloaded.sort(), wanted.sort());
});
