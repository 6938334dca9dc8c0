import { once } from 'node:events';
import { type AddressInfo, type Server, type Socket, connect, createServer } from 'node:net';
import { type TcpProxy, startProxy } from './proxy.js';
import { waitFor } from './wait.js';

describe('a proxy between a client and a server', () => {
  let server: Server;
  let proxy: TcpProxy;
  let heard: string;
  const clients: Socket[] = [];

  const join = async () => {
    const client = connect(proxy.port, '127.0.0.1');
    const said = { text: '' };
    client.on('error', () => {});
    client.on('data', (chunk) => (said.text += chunk.toString()));
    clients.push(client);
    await once(client, 'connect');
    return { client, said };
  };

  // Not once(): a reset is an error first, and that would reject it.
  const closed = (socket: Socket) =>
    new Promise<void>((resolve) => (socket.closed ? resolve() : socket.once('close', () => resolve())));

  beforeEach(async () => {
    heard = '';
    server = createServer((socket) => {
      socket.on('error', () => {});
      socket.on('data', (chunk) => {
        heard += chunk.toString();
        socket.write(chunk.toString().toUpperCase());
      });
    }).listen(0, '127.0.0.1');
    await once(server, 'listening');
    proxy = await startProxy((server.address() as AddressInfo).port);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.destroy();
    await proxy.close();
    server.close();
  });

  it('passes both halves of a conversation on', async () => {
    const { client, said } = await join();
    client.write('hello');
    await waitFor('the reply', () => said.text === 'HELLO');
  });

  it('resets connections when it is cut, new ones too, until it is healed', async () => {
    const { client } = await join();
    const ended = closed(client);
    await waitFor('the connection', () => proxy.connections === 1);
    proxy.cut();
    await ended;
    const refused = connect(proxy.port, '127.0.0.1').on('error', () => {});
    await closed(refused);

    proxy.heal();
    const { client: again, said } = await join();
    again.write('back');
    await waitFor('the reply', () => said.text === 'BACK');
  });

  it('holds everything back when it is stalled, and delivers it when it is healed', async () => {
    const { client, said } = await join();
    await waitFor('the connection', () => proxy.connections === 1);
    proxy.stall();
    client.write('late');
    // Another path to the same server shows that time enough has passed.
    const other = await startProxy((server.address() as AddressInfo).port);
    const probe = connect(other.port, '127.0.0.1');
    probe.write('probe');
    await once(probe, 'data');
    probe.destroy();
    await other.close();
    expect(heard).toBe('probe');

    proxy.heal();
    await waitFor('the reply', () => said.text === 'LATE');
  });

  it('can lose the reply to a request that was carried out', async () => {
    const { client, said } = await join();
    proxy.stall('replies');
    client.write('done');
    await waitFor('the request', () => heard === 'done');
    proxy.cut();
    await closed(client);
    expect(said.text).toBe('');
  });

  it('can lose the reply to one request, when it comes', async () => {
    const { client, said } = await join();
    const asked = proxy.stallRepliesTo('second');
    client.write('first');
    await waitFor('the reply', () => said.text === 'FIRST');
    client.write('the second');
    await asked;
    await waitFor('the request', () => heard === 'firstthe second');
    proxy.cut();
    await closed(client);
    expect(said.text).toBe('FIRST');
  });
});
