import type { Chat } from '@tidemark/client';
import type { Envelope, Message } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { Keys } from '@tidemark/redis';
import { Redis } from 'ioredis';
import { Gathering, until } from './gathering.js';

const rounds = 40;

/** What a client was told of a channel, and what came before what it answers. */
function listen(chat: Chat, channelId: string) {
  const heard: number[] = [];
  const tooEarly: string[] = [];
  chat.on('event', ({ channelId: of, seq, type, payload }) => {
    if (of !== channelId) return;
    heard.push(seq);
    const { replyTo } = payload as Message;
    if (type === 'message.created' && replyTo !== null && !heard.includes(replyTo)) {
      tooEarly.push(`${seq} before ${replyTo}`);
    }
  });
  return { heard, tooEarly };
}

describe('a reply', () => {
  let gathering: Gathering;
  let database: Database;
  let redis: Redis;
  beforeAll(async () => {
    gathering = await Gathering.start();
    const { databaseUrl, redisUrl } = gathering.stack;
    database = await Database.connect({ url: databaseUrl, applicationName: 'tidemark-replies' });
    redis = new Redis(redisUrl);
  }, 180_000);
  afterAll(async () => {
    redis.disconnect();
    await database.close();
    await gathering.stop();
  }, 60_000);

  /** As if everything had been published twice, in the other order, and the outbox held each row twice. */
  async function repeat(chat: Chat, channelId: string, after: number): Promise<number> {
    const { items } = await chat.request<{ items: Envelope[] }>({
      ...{ service: 'api', method: 'GET', path: `/v1/channels/${channelId}/events`, query: { after } },
    });
    for (const envelope of items.toReversed()) {
      await redis.publish(new Keys(16).eventsTopic(channelId), JSON.stringify([envelope]));
    }
    await database.query(`UPDATE relay_position SET xid = '0', channel_id = 0, seq = 0`);
    return items.at(-1)?.seq ?? after;
  }

  it('is never shown before what it answers, and nothing twice, however often it is published', async () => {
    const { ada, adas, bob, id, names } = await gathering.pair();
    const eve = await gathering.connect(gathering.name('eve'));
    const eves = await eve.join(id);
    const [phone, passive] = [
      await gathering.connect(names[1]),
      await gathering.connect(names[1], { passive: true }),
    ];
    const opening = passive.channel(id);
    await opening.open();
    const heads = [bob, phone, passive, eve].map((chat) => listen(chat, id));
    const first = (await adas.send('first')).seq;

    let last = first;
    let repeated = first;
    for (let round = 0; round < rounds; round++) {
      const asked = await Promise.all([1, 2, 3].map((i) => adas.send(`question ${round}.${i}`)));
      // Caught up on and live at once: one comes back, one opens what it had closed, while answers come.
      phone.reconnect();
      const reopening = round % 4 === 0 ? opening.close() : opening.open();
      const answers = asked.flatMap(({ seq: replyTo }) => [
        eves.send({ text: 'answer', replyTo }),
        adas.send({ text: 'on second thoughts', replyTo }),
      ]);
      const [answer] = await Promise.all(answers);
      last = (await adas.send({ text: 'thanks', replyTo: answer!.seq })).seq;
      await reopening;
      if (round % 5 === 0) repeated = await repeat(ada, id, repeated);
    }
    await opening.open();
    await repeat(ada, id, last - 50);
    last = (await adas.send('the end')).seq;
    await until(() => heads.every(({ heard }) => heard.at(-1) === last));
    const seqs = Array.from({ length: last - first + 1 }, (_, i) => first + i);
    for (const { heard, tooEarly } of heads) {
      expect(tooEarly).toEqual([]);
      expect(heard).toEqual(seqs);
    }
    // The outbox itself cannot hold a row twice.
    const again = database.query(
      'INSERT INTO channel_events SELECT * FROM channel_events WHERE channel_id = $1 AND seq = $2',
      [id, last],
    );
    await expect(again).rejects.toMatchObject({ code: '23505' });
  }, 300_000);
});
