// What happened between two looks at the cluster, in words. Pure: two statuses go in, changes come out.
//
// A status is what the servers answer to `status`; what a field does not say is zero, or no.

/** The server that leads: of two that say so, that of the later term, for the other one has not heard yet. */
export function leaderOf(status) {
  const leaders = (status?.servers ?? []).filter((server) => server.role === 'leader');
  return leaders.reduce((best, server) => (best && (best.term ?? 0) >= (server.term ?? 0) ? best : server), null);
}

export const isUp = (server) => Boolean(server) && server.role !== 'down';

/** Whether the last of three may go on alone; then each server is in sync, or is not. */
export const hasSurvivorMode = (status) => status.servers.some((server) => server.in_sync);

/** How many log entries a server has still to apply, of those known to be committed. */
export function lagOf(status, server) {
  const committed = Math.max(0, ...status.servers.map((other) => other.committed_index ?? 0));
  return Math.max(0, committed - (server.applied_index ?? 0));
}

/** A term; after a sole survivor's force with the epoch before it, as in `1.7`. */
export function termOf(server) {
  const term = server.term ?? 0;
  const epoch = Math.floor(term / 2 ** 32);
  return epoch ? `${epoch}.${term % 2 ** 32}` : String(term);
}

/** So many entries behind is more than being on the way. */
const BEHIND = 50;

/** What a server is at the moment: {word, tone, words}. `old`: no server has answered for a while. */
export function standing(status, server, old = false) {
  if (old) return { word: 'unknown', tone: '', words: 'nothing is heard of it' };
  if (!isUp(server)) return { word: 'down', tone: 'bad', words: 'does not answer' };
  if (server.role === 'leader') {
    if (status.state === 'sole survivor') return { word: 'sole survivor', tone: 'warning', words: 'goes on alone' };
    return { word: 'leader', tone: 'lead', words: status.state === 'frozen' ? 'waits for the others' : 'orders all writes' };
  }
  if (server.role === 'candidate') return { word: 'candidate', tone: 'warning', words: 'stands for election' };
  const lag = lagOf(status, server);
  if (server.role === 'learner' || !server.voter) return { word: 'joining', tone: 'warning', words: `is filled by the others, ${lag} entries to go` };
  if (lag > BEHIND) return { word: 'catching up', tone: 'warning', words: `${lag} entries behind` };
  if (hasSurvivorMode(status) && !server.in_sync) return { word: 'catching up', tone: 'warning', words: 'not in sync yet' };
  return { word: 'follower', tone: 'good', words: hasSurvivorMode(status) ? 'in sync' : 'up to date' };
}

/** How good or bad a state of the cluster is. */
export const toneOf = (state) => ({ normal: 'good', degraded: 'warning', 'sole survivor': 'warning' })[state] ?? 'bad';

const byName = (status) => new Map((status?.servers ?? []).map((server) => [server.name, server]));

/** The changes from one look to the next: [{tone, words}]. */
export function changes(before, after) {
  if (!before) return [];
  const found = [];
  const say = (tone, words) => found.push({ tone, words });
  const was = byName(before);
  const survivorMode = hasSurvivorMode(before) || hasSurvivorMode(after);
  for (const server of after.servers) {
    const earlier = was.get(server.name);
    was.delete(server.name);
    const { name } = server;
    if (!earlier) say('good', `${name} is part of the cluster now`);
    else if (isUp(earlier) && !isUp(server)) say('bad', `${name} is down`);
    else if (!isUp(earlier) && isUp(server)) say('good', `${name} is back${server.incarnation ? `, its run ${server.incarnation}` : ''}`);
    else if (isUp(server) && server.incarnation !== earlier.incarnation) say('good', `${name} was started again`);
    if (earlier && isUp(earlier) && isUp(server) && survivorMode && Boolean(server.in_sync) !== Boolean(earlier.in_sync)) {
      if (server.in_sync) say('good', `${name} is in sync: whatever is acknowledged is on its disk`);
      else say('warning', `${name} is not in sync any more: writes do not wait for it`);
    }
  }
  for (const name of was.keys()) say('warning', `${name} has left the cluster`);
  const [led, leads] = [leaderOf(before), leaderOf(after)];
  if (leads && (led?.name !== leads.name || led.term !== leads.term)) {
    say('lead', led?.name === leads.name ? `${leads.name} was elected again, in term ${termOf(leads)}` : `${leads.name} leads now, in term ${termOf(leads)}`);
  } else if (led && !leads) say('warning', 'Nobody leads: the servers elect');
  if (before.state !== after.state) {
    const state = after.state === 'sole survivor' ? 'Sole survivor' : `The cluster is ${after.state}`;
    say(toneOf(after.state), `${state}${after.detail ? `: ${after.detail}` : ''}`);
  }
  return found;
}

/** Commands committed from one look to the next. A server counts those of its own leadership, from its start on. */
export function committedBetween(before, after) {
  const was = byName(before);
  return after.servers.reduce((sum, server) => {
    const earlier = was.get(server.name);
    if (!isUp(server) || !isUp(earlier) || earlier.incarnation !== server.incarnation) return sum;
    return sum + Math.max(0, (server.commands ?? 0) - (earlier.commands ?? 0));
  }, 0);
}
