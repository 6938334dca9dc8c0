import { connect, type Chat } from '@tidemark/client';
import type { Count, Message, Unread } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import {
  startPostgres,
  startProxy,
  startReplica,
  type PostgresInstance,
  type ReplicaInstance,
  type TcpProxy,
} from '@tidemark/engines';
import { Keys } from '@tidemark/redis';
import { startStack, type Stack } from '@tidemark/stack';
import { compareAtRest, showDifferences, waitForRest } from '@tidemark/testing';
import { Redis } from 'ioredis';
import { until } from '../client/gathering.js';
import { Crowd, eventually } from '../outages/crowd.js';

const keys = new Keys(16);

describe('the promotion of a standby that lacks acknowledged commits', () => {
  let primary: PostgresInstance;
  let standby: ReplicaInstance;
  let proxy: TcpProxy;
  let databaseUrl: string;
  let stack: Stack;
  const chats: Chat[] = [];

  beforeAll(async () => {
    primary = await startPostgres({ temporary: true, durable: false });
    proxy = await startProxy(primary.port);
    databaseUrl = Object.assign(new URL(primary.url), { port: String(proxy.port) }).href;
    stack = await startStack({
      instances: { 'message-api': 2, 'realtime-gateway': 2, 'read-status-service': 2, 'sync-worker': 2 },
      env: { FLUSH_INTERVAL_MS: '200', LOG_LEVEL: 'warn' },
      ...{ databaseUrl, preferredPorts: false, durable: false, stackFile: null },
    });
    standby = await startReplica(primary, { temporary: true });
  }, 180_000);
  afterAll(async () => {
    await Promise.all(chats.map((chat) => chat.close()));
    await stack.stop();
    await proxy.close();
    await standby.stop('immediate');
    await primary.stop('immediate');
  }, 120_000);

  const send = async (crowd: Crowd, clientId: string): Promise<Message> => {
    const { status, body } = await eventually(
      () => crowd.send(0, clientId),
      (answer) => answer.status === 201,
      60_000,
    );
    expect(status).toBe(201);
    return body;
  };
  const read = async (crowd: Crowd): Promise<Count> =>
    (
      await crowd.call<Count>(
        ...([
          'read-status-service',
          crowd.jwts[1]!,
          'PUT',
          `/v1/channels/${crowd.channelId}/read`,
          {},
        ] as const),
      )
    ).body;
  const standbyShows = (sql: string) => async () => (await standby.query<{ is: boolean }>(sql))[0]!.is;

  it('begins another history, in which nobody has read what nobody has seen', async () => {
    const crowd = await Crowd.gather(stack, 3);
    const { channelId } = crowd;
    const urls = {
      api: stack.services['message-api'][0]!.url,
      realtime: stack.services['realtime-gateway'][1]!.url,
      readStatus: stack.services['read-status-service'][1]!.url,
    };
    const chat = await connect({ urls, getToken: () => crowd.jwts[1]! });
    chats.push(chat);
    await chat.channel(channelId).load();
    const shown = () => chat.channel(channelId).messages.map(({ text }) => text);

    for (const clientId of ['kept-0', 'kept-1', 'kept-2']) await send(crowd, clientId);
    const { cursor } = await read(crowd);
    await until(
      standbyShows(
        `SELECT count(*) = 1 AS is FROM channel_members WHERE cursor_seq = ${cursor} AND user_id = ${crowd.userIds[1]!}`,
      ),
    );

    // From here on the standby receives nothing.
    await standby.query("ALTER SYSTEM SET primary_conninfo = ''");
    await standby.query('SELECT pg_reload_conf()');
    await until(async () => (await primary.query('SELECT FROM pg_stat_replication')).length === 0);
    const lost = [await send(crowd, 'lost-0'), await send(crowd, 'lost-1')];
    expect(await read(crowd)).toMatchObject({ cursor: lost[1]!.seq, unread: 0 });
    await until(() => shown().includes('lost-1'));

    proxy.cut();
    await primary.stop('immediate');
    await standby.promote();
    proxy.leadTo(standby.port);
    proxy.heal();

    const anew = [await send(crowd, 'new-0'), await send(crowd, 'new-1'), await send(crowd, 'new-2')];
    expect(anew.slice(0, 2).map(({ seq }) => seq)).toEqual(lost.map(({ seq }) => seq));
    for (const jwt of [crowd.jwts[1]!, crowd.jwts[1]!]) {
      const { body } = await eventually(
        () => crowd.call<Unread>('read-status-service', jwt, 'GET', '/v1/unread'),
        ({ status, body }) => status === 200 && body.total === 3,
      );
      expect(body).toMatchObject({ total: 3, items: [{ cursor, unread: 3 }] });
    }
    await until(() => chat.exact && chat.total === 3);
    const kept = ['kept-0', 'kept-1', 'kept-2'];
    await until(() => shown().length >= 6 && !shown().includes('lost-1'));
    expect(shown()).toEqual([...kept, 'new-0', 'new-1', 'new-2']);

    const database = await Database.connect({ url: databaseUrl, applicationName: 'tidemark-promotion' });
    const redis = new Redis(stack.redisUrl);
    try {
      await waitForRest({ database, redis, keys });
      const { logEpoch } = await database.position();
      const { checked, differences } = await compareAtRest({
        ...{ database, redis, keys, logEpoch, strategy: 'watermark' },
      });
      expect(showDifferences(differences)).toBe(showDifferences([]));
      expect(checked).toBe(3);
    } finally {
      redis.disconnect();
      await database.close();
    }
  }, 300_000);
});
