import { createServer } from 'node:http';
import type { AddressInfo, Socket as TcpSocket } from 'node:net';
import { Server } from 'socket.io';
import { io, type Socket as ClientSocket } from 'socket.io-client';
import { eventually } from '../test-support/eventually.js';
import { encodeFrame } from './batch.js';
import { Wire, type GatewayServer, type GatewaySocket } from './wire.js';

describe('Wire', () => {
  const http = createServer();
  const server: GatewayServer = new Server(http, { perMessageDeflate: false });
  let client: ClientSocket;
  let socket: GatewaySocket;
  const received: unknown[] = [];

  beforeAll(async () => {
    await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve));
  });

  afterAll(() => server.close());

  async function connect(transport: 'websocket' | 'polling'): Promise<Wire> {
    const connected = new Promise<GatewaySocket>((resolve) => server.once('connection', resolve));
    const { port } = http.address() as AddressInfo;
    client = io(`http://127.0.0.1:${port}`, { transports: [transport], forceNew: true });
    received.length = 0;
    client.onAny((event: string, said: unknown) => received.push([event, said]));
    socket = await connected;
    return new Wire(socket);
  }

  afterEach(() => client.disconnect());

  const write = (wire: Wire, said: unknown) =>
    wire.write(encodeFrame(`2${JSON.stringify(['events', said])}`));

  it.each(['websocket', 'polling'] as const)('writes frames over %s', async (transport) => {
    const wire = await connect(transport);
    write(wire, [1]);
    write(wire, ['ü'.repeat(70_000)]);
    socket.emit('profiles', []);
    write(wire, [2]);
    await eventually(() => (received.length === 4 ? true : undefined));
    expect(received).toEqual([
      ['events', [1]],
      ['events', ['ü'.repeat(70_000)]],
      ['profiles', []],
      ['events', [2]],
    ]);
    await eventually(() => (wire.idle ? true : undefined));
  });

  it('overtakes nothing that waits for a client which reads slowly', async () => {
    const wire = await connect('websocket');
    const { _socket: tcp } = (client.io.engine.transport as unknown as { ws: { _socket: TcpSocket } }).ws;
    tcp.pause();
    const filler = 'x'.repeat(100_000);
    // The kernel takes some, and more as its buffers grow; then they wait here.
    let written = 0;
    for (let waits = 0; waits < 5; written++) {
      write(wire, filler);
      await new Promise(setImmediate);
      waits = wire.idle ? 0 : waits + 1;
    }
    const ada = { id: '1', externalId: 'ada', name: 'Ada', picture: null, kind: 'person' } as const;
    socket.emit('profiles', [ada]);
    // Engine.IO holds what comes before that one is written.
    socket.emit('profiles', [{ ...ada, id: '2' }]);
    write(wire, 'of 2');
    tcp.resume();
    await eventually(() => (received.length === written + 3 ? true : undefined));
    expect(received.slice(written)).toEqual([
      ['profiles', [ada]],
      ['profiles', [{ ...ada, id: '2' }]],
      ['events', 'of 2'],
    ]);
  });

  it('has no room for more than a client may leave unread', async () => {
    const wire = await connect('websocket');
    const { _socket: tcp } = (client.io.engine.transport as unknown as { ws: { _socket: TcpSocket } }).ws;
    tcp.pause();
    const filler = 'x'.repeat(500_000);
    let hasRoom = true;
    for (let written = 0; hasRoom; written++) {
      if (written > 100) throw new Error('There is room for ever');
      hasRoom = write(wire, filler);
      await new Promise(setImmediate);
    }
    const drained = wire.drained();
    tcp.resume();
    await drained;
    expect(wire.hasRoom).toBe(true);
  });
});
