import { createServer } from 'node:net';

/**
 * Ports we pick ourselves lie below the range the kernel hands to outgoing connections: a client that
 * keeps knocking at a dead engine could otherwise be given the engine's own port, and hold it.
 * A cluster node also takes its port + 10,000, which stays below that range too.
 */
const OWN_PORTS = { first: 12_000, count: 10_000 };
const TRIES_MAX = 200;

/** Handed out lately by this process, so that two starts at once do not get the same one. */
const promised = new Map<number, number>();
const PROMISE_MS = 10_000;

/** The preferred port if it is free, else the next free one; without a preference any free one. */
export async function freePort(preferred?: number): Promise<number> {
  let candidate = preferred ?? OWN_PORTS.first + Math.floor(Math.random() * OWN_PORTS.count);
  for (let tries = 0; tries < TRIES_MAX; tries += 1, candidate += 1) {
    if (candidate > 65_535) candidate = OWN_PORTS.first;
    if ((promised.get(candidate) ?? 0) > Date.now()) continue;
    promised.set(candidate, Date.now() + PROMISE_MS);
    if (await isFree(candidate)) return candidate;
    promised.delete(candidate);
  }
  throw new Error(`No free port within ${TRIES_MAX} of ${preferred ?? OWN_PORTS.first}`);
}

/** For a cluster node: a port whose bus port, 10,000 above, is free as well. */
export async function freePortWithBus(): Promise<number> {
  for (let tries = 0; tries < TRIES_MAX; tries += 1) {
    const port = await freePort();
    if (port + 10_000 <= 65_535 && (await isFree(port + 10_000))) return port;
  }
  throw new Error('No free pair of ports for a Redis Cluster node');
}

/** Free on every address as well as on loopback: macOS allows one without the other. */
export async function isFree(port: number): Promise<boolean> {
  return (await canListen(port, '127.0.0.1')) && (await canListen(port));
}

function canListen(port: number, host?: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}
