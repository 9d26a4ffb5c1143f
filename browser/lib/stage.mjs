// Where the tests of a file play: a cluster and a browser, there before the first of them and gone after the last.

import { after, before } from 'node:test';
import { launch } from './browser.mjs';
import { Cluster } from './cluster.mjs';

const TIMEOUT = { timeout: 240_000 };

/** `begin({cluster, browser})` keeps them, and prepares what else all tests need; `options` are those of the cluster. */
export function stage(begin, options) {
  const there = {};
  before(async () => {
    there.cluster = await Cluster.start(options);
    there.browser = await launch();
    await begin(there);
  }, TIMEOUT);
  after(async () => {
    await there.browser?.close();
    await there.cluster?.stop();
  }, TIMEOUT);
}
