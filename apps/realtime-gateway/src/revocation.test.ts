import { UsersStore, type Database } from '@tidemark/database';
import { signDevToken } from '@tidemark/runtime';
import { SECRET, tokenOf } from './test-support/client.js';
import { scene } from './test-support/scene.js';
import { useGateway } from './test-support/use-gateway.js';

describe('a user whose tokens are revoked', () => {
  const world = useGateway();
  const closed = { code: 'unauthenticated', reconnect: false };
  let database: Database;
  beforeAll(async () => {
    database = await world.database.open();
  });

  /** As message-api does it; not told where a gateway shall find it by itself. */
  async function revoke(userId: string, { tell = true } = {}): Promise<Date> {
    const { validFrom } = (await new UsersStore(database).revokeTokens(userId))!;
    const said = JSON.stringify({ type: 'tokens-revoked', validFrom });
    if (tell) await world.redis.client.publish(world.writer.keys.userTopic(userId), said);
    return new Date(validFrom);
  }
  const newToken = ({ externalId: sub, name }: { externalId: string; name: string }, now: Date) =>
    signDevToken(SECRET, { sub, name }, { now: now.getTime() }).token;

  it('has every socket closed, on every gateway, and comes back with a new token alone', async () => {
    const { ada, bob } = await scene(world);
    const { url } = await world.start();
    const sockets = [await world.connect(ada), await world.connect(ada), await world.connect(ada, { url })];
    const other = await world.connect(bob);
    const old = tokenOf(ada);
    const validFrom = await revoke(ada.id);
    for (const socket of sockets) {
      expect(await socket.once('closing')).toEqual(closed);
      await socket.once('disconnect');
    }
    for (const gateway of [world.url, url]) {
      const refused = world.client(ada, { url: gateway, auth: { token: old } });
      expect(await refused.once('connect_error')).toMatchObject({ code: 'unauthenticated' });
    }
    const again = await world.connect(ada, { url, auth: { token: newToken(ada, validFrom) } });
    // Told of it once more: that is not about this token.
    await revoke(bob.id);
    await other.once('closing');
    expect(again.all('closing')).toEqual([]);
    expect(again.socket.connected).toBe(true);
  });

  it('keeps a socket whose token was renewed before', async () => {
    const { ada, bob } = await scene(world);
    const socket = await world.connect(ada);
    const token = newToken(ada, new Date(Date.now() + 60_000));
    expect(await socket.say('token', { token })).toEqual({ ok: true });
    const other = await world.connect(bob);
    await revoke(ada.id);
    await revoke(bob.id);
    await other.once('closing');
    expect(socket.all('closing')).toEqual([]);
  });

  it('has sockets closed that a gateway was told nothing of', async () => {
    const { ada } = await scene(world);
    const socket = await world.connect(ada);
    await revoke(ada.id, { tell: false });
    expect(await socket.once('closing')).toEqual(closed);
  });

  it('has them closed by a gateway that reached nothing at that time, when it does again', async () => {
    const { ada } = await scene(world);
    const [redis, postgresql] = [
      await world.relayTo(world.redis.url),
      await world.relayTo(world.database.url),
    ];
    const { url } = await world.start({ REDIS_URL: redis.url, DATABASE_URL: postgresql.url });
    const [cutOff, reached] = [await world.connect(ada, { url }), await world.connect(ada)];
    await Promise.all([redis.cut(), postgresql.cut()]);
    await revoke(ada.id);
    await reached.once('closing');
    expect(cutOff.socket.connected).toBe(true);
    await Promise.all([redis.heal(), postgresql.heal()]);
    expect(await cutOff.once('closing')).toEqual(closed);
  });
});
