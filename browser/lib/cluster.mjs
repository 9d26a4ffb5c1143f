// A cluster of `threefold up` in a directory of its own, for a test to watch and to hurt.
//
// Every process ends with the test, even one that is killed: servers stop when their standard input ends.

import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { PATIENCE_MS, until, within } from './wait.mjs';

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '../..');
/** `up` puts chat TCP ports 50 above the client ports, and peer ports 100 above. */
const DISTANCES = [0, 50, 100];
/** Below the ports of outgoing connections, one of which could take that of a server that is down. */
const PORTS = { first: 27_000, last: 31_500, step: 10 };

/** The program under test: `$THREEFOLD`, else the newest build there is, the optimised one first. */
export function program() {
  if (process.env.THREEFOLD) return resolve(process.env.THREEFOLD);
  const target = resolve(ROOT, process.env.CARGO_TARGET_DIR ?? 'target');
  const found = ['release', 'debug'].map((profile) => join(target, profile, 'threefold')).find((path) => existsSync(path));
  if (!found) throw new Error('there is no program to test: build it, or name one in $THREEFOLD');
  return found;
}

function isFree(port) {
  return new Promise((done) => {
    const server = createServer();
    server.once('error', () => done(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => done(true)));
  });
}

async function freePorts(servers) {
  const places = Math.floor((PORTS.last - PORTS.first) / PORTS.step);
  const start = Math.floor(Math.random() * places);
  for (let n = 0; n < places; n += 1) {
    const base = PORTS.first + ((start + n) % places) * PORTS.step;
    const ports = DISTANCES.flatMap((distance) => Array.from({ length: servers }, (_, place) => base + distance + place));
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return base;
  }
  throw new Error('no free ports');
}

/** Only what the test sets decides what the program does. */
function environment() {
  const ours = Object.entries(process.env).filter(([name]) => !name.startsWith('THREEFOLD'));
  return Object.fromEntries(ours);
}

export class Cluster {
  /** Starts one, and waits until it is complete. `args`: further ones of `up`. */
  static async start({ servers = 3, args = [] } = {}) {
    const directory = mkdtempSync(join(tmpdir(), 'threefold-browser-'));
    for (let tries = 0; ; tries += 1) {
      const cluster = new Cluster(directory, servers, await freePorts(servers), args);
      try {
        await cluster.event('started');
        return cluster;
      } catch (error) {
        await cluster.end();
        // Another test may have taken a port in between.
        if (tries < 3 && /in use/.test(cluster.complaints)) continue;
        rmSync(directory, { recursive: true, force: true });
        throw error;
      }
    }
  }

  constructor(directory, servers, port, args) {
    this.directory = directory;
    this.port = port;
    this.names = Array.from({ length: servers }, (_, place) => `server-${place + 1}`);
    /** All that `up` has said. */
    this.events = [];
    this.complaints = '';
    this.others = [];
    const data = join(directory, 'data');
    this.data = data;
    const all = ['up', '--json', '--servers', String(servers), '--port', String(port), '--data-dir', data, ...args];
    this.up = spawn(program(), all, { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] });
    this.ended = new Promise((resolve) => this.up.once('exit', resolve));
    /** Whether nothing more is said. */
    this.silent = false;
    this.up.once('close', () => (this.silent = true));
    createInterface({ input: this.up.stdout }).on('line', (line) => this.events.push(JSON.parse(line)));
    this.up.stderr.on('data', (text) => (this.complaints += text));
    this.emergency = () => this.up.kill('SIGKILL');
    process.once('exit', this.emergency);
  }

  /** The address of a server's page. */
  url(name = 'server-1') {
    return `http://${this.address(name)}/`;
  }

  address(name) {
    return `127.0.0.1:${this.port + this.names.indexOf(name)}`;
  }

  /** Waits until `up` says something of this kind, after the first `after` things it said. */
  async event(kind, is = () => true, after = 0) {
    const find = () => this.events.slice(after).find((event) => event.event === kind && is(event));
    await until(`up says "${kind}"`, () => find() || this.silent);
    const found = find();
    if (!found) throw new Error(`up has ended: ${this.complaints}`);
    return found;
  }

  /** What the command line says of the cluster. */
  async status() {
    const servers = this.names.map((name) => `http://${this.address(name)}`).join(',');
    const all = ['status', '--json', '--servers', servers, '--session', join(this.directory, 'none.json')];
    const { stdout } = await promisify(execFile)(program(), all, { env: environment(), timeout: PATIENCE_MS });
    return JSON.parse(stdout);
  }

  /** The server that leads. */
  leader() {
    return until('a leader', async () => (await this.status()).servers.find((server) => server.role === 'leader'));
  }

  /** Waits until all servers are up, and it could lose any of them again. */
  whole() {
    return until('a whole cluster', async () => {
      const { state, servers } = await this.status();
      return state === 'normal' && servers.length === this.names.length && servers.every((server) => server.role !== 'down');
    });
  }

  /** Kills a server without a chance to say goodbye, and waits for its end. */
  async kill(name) {
    // A server that takes its time to answer is told as one that is down.
    const server = await until(`${name} tells its process`, async () => (await this.status()).servers.find((server) => server.name === name && server.pid));
    const before = this.events.length;
    const other = this.others.find((other) => other.pid === server.pid);
    process.kill(server.pid, 'SIGKILL');
    if (other) await within(`${name} dies`, other.ended);
    else await this.event('died', (event) => event.server === name, before);
    return server;
  }

  /** Kills the one that leads, and returns what it was. */
  async killLeader() {
    return this.kill((await this.leader()).name);
  }

  /** Starts a dead server again, by the command that `up` tells. */
  restart(name) {
    const config = join(this.data, `${name}.toml`);
    const server = spawn(program(), ['serve', '--config', config, '--parent-watch'], { env: environment(), stdio: ['pipe', 'ignore', 'ignore'] });
    server.ended = new Promise((resolve) => server.once('exit', resolve));
    this.others.push(server);
    return until(`${name} is back`, async () => {
      const found = (await this.status()).servers.find((server) => server.name === name);
      return found && found.role !== 'down' && found;
    });
  }

  /** Runs the command line's program as a user, with a session file of its own; returns what it printed as JSON lines. */
  async command(session, ...words) {
    const servers = this.names.map((name) => `http://${this.address(name)}`).join(',');
    const all = [...words, '--json', '--servers', servers, '--session', join(this.directory, `${session}.json`)];
    const env = { ...environment(), THREEFOLD_PASSWORD: 'correct horse battery' };
    const { stdout } = await promisify(execFile)(program(), all, { env, timeout: PATIENCE_MS });
    return stdout.split('\n').filter(Boolean).map((line) => JSON.parse(line));
  }

  async end() {
    process.removeListener('exit', this.emergency);
    if (this.up.exitCode === null && this.up.signalCode === null) this.up.kill('SIGTERM');
    for (const other of this.others) other.kill('SIGKILL');
    const patience = setTimeout(() => this.up.kill('SIGKILL'), 15_000);
    await this.ended;
    clearTimeout(patience);
    await Promise.all(this.others.map((other) => other.ended));
  }

  async stop() {
    await this.end();
    // A server that `up` could not stop may still write for a moment.
    await until('the directory is removed', () => {
      rmSync(this.directory, { recursive: true, force: true });
      return true;
    });
  }
}
