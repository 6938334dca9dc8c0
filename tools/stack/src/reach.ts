import { connect } from 'node:net';
import { StackOptionsError } from './options.js';

const REACH_MS = 3_000;
const DEFAULT_PORT: Record<string, number> = {
  'postgres:': 5432,
  'postgresql:': 5432,
  'redis:': 6379,
  'rediss:': 6379,
};

export function isServed(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: REACH_MS });
    const settle = (served: boolean) => () => {
      resolve(served);
      socket.destroy();
    };
    socket.once('connect', settle(true)).once('timeout', settle(false)).once('error', settle(false));
  });
}

/** A wrong address is said at once and by its name, rather than by a service that never gets ready. */
export async function refuseUnreachable(
  named: Record<string, (string | undefined)[] | undefined>,
): Promise<void> {
  for (const [name, urls = []] of Object.entries(named)) {
    for (const url of urls) if (url !== undefined) await refuseIfUnreachable(name, url);
  }
}

async function refuseIfUnreachable(name: string, text: string): Promise<void> {
  const url = URL.canParse(text) ? new URL(text) : null;
  const defaultPort = url && DEFAULT_PORT[url.protocol];
  if (!url?.hostname || !defaultPort) throw new StackOptionsError(`${name} is not such an address`);
  // Brackets belong to the URL of an IPv6 address, not to the address.
  const [host, port] = [url.hostname.replace(/^\[|\]$/g, ''), Number(url.port || defaultPort)];
  if (!(await isServed(port, host)))
    throw new StackOptionsError(`${name}: nothing answers at ${host}:${port}`);
}
