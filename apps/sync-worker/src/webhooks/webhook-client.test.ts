import type { lookup } from 'node:dns';
import { Receiver } from '../test-support/receiver.js';
import { until } from '../test-support/worker-parts.js';
import { isPrivateAddress } from './private-addresses.js';
import { WebhookClient } from './webhook-client.js';

describe('WebhookClient', () => {
  let receiver: Receiver;
  const clients: WebhookClient[] = [];
  const clientOf = (...options: ConstructorParameters<typeof WebhookClient>) => {
    const client = new WebhookClient(...options);
    clients.push(client);
    return client;
  };
  const anywhere = () => clientOf({ webhookPrivateAddresses: 'allow' });
  /** A name server whose answers are these, one after the other. */
  const resolving = (...answers: string[][]) =>
    ((_name: string, _options: object, answer: (error: null, addresses: object[]) => void) =>
      answer(
        null,
        (answers.shift() ?? []).map((address) => ({ address, family: 4 })),
      )) as typeof lookup;
  beforeEach(async () => {
    receiver = await Receiver.start();
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.onApplicationShutdown();
    await receiver.close();
  });
  const at = (host: string) => receiver.url.replace('127.0.0.1', host);

  it('gives the status, whatever it is, and reads no further', async () => {
    const client = anywhere();
    expect(await client.post(receiver.url, { 'x-said': 'it' }, '')).toBe(200);
    expect(receiver.received[0]!.headers).toMatchObject({ 'x-said': 'it', 'content-length': '0' });
    for (const status of [204, 400, 500]) {
      receiver.answer = (response) => response.writeHead(status).end();
      expect(await client.post(receiver.url, {}, '')).toBe(status);
    }
  });

  it('follows no redirect', async () => {
    const elsewhere = await Receiver.start();
    receiver.answer = (response) => response.writeHead(307, { location: elsewhere.url }).end();
    expect(await anywhere().post(receiver.url, {}, '')).toBe(307);
    expect(elsewhere.received).toEqual([]);
    await elsewhere.close();
  });

  it.each(['127.0.0.1', '0x7f000001', '127.1', 'localhost', '[::1]', '[::ffff:127.0.0.1]', '0.0.0.0'])(
    'connects to no private address unless it may: %s',
    async (host) => {
      const client = clientOf({ webhookPrivateAddresses: 'refuse' });
      await expect(client.post(at(host), {}, '')).rejects.toThrow('private address');
      expect(receiver.received).toEqual([]);
    },
  );

  it('judges a name by what it resolves to when it connects, and by all of it', async () => {
    const refusing = { webhookPrivateAddresses: 'refuse' } as const;
    const rebound = clientOf(refusing, resolving(['93.184.215.14'], ['127.0.0.1']), 50);
    await expect(rebound.post(at('hooks.example'), {}, '')).rejects.not.toThrow('private address');
    await expect(rebound.post(at('hooks.example'), {}, '')).rejects.toThrow('private address');
    const mixed = clientOf(refusing, resolving(['93.184.215.14', '127.0.0.1']));
    await expect(mixed.post(at('hooks.example'), {}, '')).rejects.toThrow('private address');
    expect(receiver.received).toEqual([]);
  });

  it.each([
    ...[
      '10.1.2.3',
      '100.64.0.1',
      '169.254.169.254',
      '172.31.0.1',
      '192.168.0.1',
      '224.0.0.1',
      '255.255.255.255',
    ],
    ...[
      '::',
      'fe80::1',
      'fd00::1',
      'ff02::1',
      '::ffff:10.0.0.1',
      '64:ff9b::a00:1',
      '2002:a00:1::',
      '2001:db8::1',
    ],
  ])('knows %s for private', (address) => {
    expect(isPrivateAddress(address)).toBe(true);
  });

  it.each(['93.184.215.14', '172.32.0.1', '8.8.8.8', '2606:2800:21f:cb07:6820:80da:af6b:8b2c'])(
    'knows %s for public',
    (address) => {
      expect(isPrivateAddress(address)).toBe(false);
    },
  );

  it('waits for an answer only so long', async () => {
    receiver.answer = () => undefined;
    const client = clientOf({ webhookPrivateAddresses: 'allow' }, undefined, 50);
    await expect(client.post(receiver.url, {}, '')).rejects.toThrow('no answer in 50 ms');
  });

  it('gives up a connection that brings more than anybody reads', async () => {
    let isCut = false;
    receiver.answer = (response) => {
      response.on('close', () => (isCut = true));
      const pour = () => response.write(Buffer.alloc(4_096), () => isCut || setImmediate(pour));
      pour();
    };
    // Longer than this test may take, so that it is not the end of the wait that cuts it.
    const client = clientOf({ webhookPrivateAddresses: 'allow' }, undefined, 600_000);
    expect(await client.post(receiver.url, {}, '')).toBe(200);
    await until(() => isCut);
  });

  it('says why nobody answered, and nothing of the address', async () => {
    const { url } = receiver;
    await receiver.close();
    await expect(anywhere().post(url, {}, '')).rejects.toThrow(/^ECONNREFUSED$/);
    await receiver.open();
  });
});
