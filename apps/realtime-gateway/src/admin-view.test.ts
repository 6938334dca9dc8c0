import { io, type Socket } from 'socket.io-client';
import { eventually } from './test-support/eventually.js';
import { scene } from './test-support/scene.js';
import { useGateway } from './test-support/use-gateway.js';

const PASSWORD = 'changeit';
const env = {
  SOCKET_ADMIN_USERNAME: 'operator',
  SOCKET_ADMIN_PASSWORD_HASH: '$2b$10$heqvAkYMez.Va6Et2uXInOnkCT6/uQj1brkrbyG3LpopDklcq7ZOS',
};

describe("Socket.IO's admin view", () => {
  const world = useGateway();
  const sockets: Socket[] = [];
  afterEach(() => sockets.splice(0).forEach((socket) => socket.disconnect()));

  /** Everything the view was told, once it is let in; else why it was not. */
  async function open(url: string, auth: Record<string, unknown>, headers: Record<string, string> = {}) {
    const told: [string, unknown[]][] = [];
    const socket = io(`${url}/admin`, {
      ...{ transports: ['websocket'], reconnection: false, forceNew: true, auth, extraHeaders: headers },
    });
    sockets.push(socket);
    socket.onAny((event: string, ...payload: unknown[]) => told.push([event, payload]));
    const outcome = await new Promise<string>((resolve) => {
      socket.once('connect', () => resolve('connected'));
      socket.once('connect_error', (error) => resolve(error.message));
    });
    return { outcome, socket, told };
  }

  it('is not there unless it is asked for', async () => {
    const { outcome } = await open(world.url, { username: 'operator', password: PASSWORD });
    expect(outcome).toBe('Invalid namespace');
  });

  it('lets in who has the password, and again by the session they were given', async () => {
    const { url } = await world.start(env);
    const { outcome, told } = await open(url, { username: 'operator', password: PASSWORD });
    expect(outcome).toBe('connected');
    const [, [sessionId]] = await eventually(() => told.find(([event]) => event === 'session'));
    expect((await open(url, { sessionId })).outcome).toBe('connected');
    expect((await open(url, { sessionId: 'a guess' })).outcome).toBe('invalid credentials');
  });

  it('keeps everybody else out, whatever they say, and tries no more than a few passwords', async () => {
    const { url } = await world.start(env);
    const { ada } = await scene(world);
    for (const auth of [
      {},
      { token: (await world.connect(ada, { url })).socket.auth },
      { username: 'operator' },
      { username: 'operator', password: 7 },
      { username: 'operator', password: { toString: 'x' } },
      { username: 'operator', password: 'x'.repeat(10_000) },
      { sessionId: {} },
    ]) {
      expect((await open(url, auth)).outcome).toBe('invalid credentials');
    }
    const guesses = await Promise.all(
      Array.from({ length: 12 }, (_, i) => open(url, { username: 'operator', password: `guess ${i}` })),
    );
    expect(new Set(guesses.map(({ outcome }) => outcome))).toEqual(
      new Set(['invalid credentials', 'rate-limited']),
    );
  });

  it('is for our own pages alone, as all sockets are', async () => {
    const { url } = await world.start({ ...env, ORIGINS: 'https://chat.example' });
    const right = { username: 'operator', password: PASSWORD };
    expect((await open(url, right, { origin: 'https://evil.example' })).outcome).not.toBe('connected');
    expect((await open(url, right, { origin: 'https://chat.example' })).outcome).toBe('connected');
  });

  it('counts connections, and tells of no socket, address or event; and can end or join none', async () => {
    const { url } = await world.start(env);
    const { ada, channelId } = await scene(world);
    const client = await world.connect(ada, { url });
    const { socket, told } = await open(url, { username: 'operator', password: PASSWORD });
    const stats = () => told.filter(([event]) => event === 'server_stats').map(([, [said]]) => said);
    for (const event of ['_disconnect', 'join', 'emit']) socket.emit(event, '/', 'x', 'x');
    await world.writer.send(channelId, ada.id, 1, { text: 'between us' });
    await eventually(() => (client.seqs(channelId).length > 0 ? true : undefined));
    await eventually(() => (stats().length > 1 ? true : undefined));
    expect(stats().at(-1)).toMatchObject({
      namespaces: [{ name: '/', socketsCount: 1 }, { name: '/admin' }],
    });
    expect(client.socket.connected).toBe(true);
    expect(new Set(told.map(([event]) => event))).toEqual(new Set(['session', 'config', 'server_stats']));
    const said = JSON.stringify(told);
    for (const secret of ['between us', '127.0.0.1', client.socket.id!]) {
      expect(said).not.toContain(secret);
    }
  });
});
