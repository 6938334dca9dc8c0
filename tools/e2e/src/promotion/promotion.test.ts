import { connect, type Chat } from '@tidemark/client';
import type { Count, Message, Unread } from '@tidemark/contracts';
import { showDifferences } from '@tidemark/testing';
import { until } from '../client/gathering.js';
import { type Answer, breathe, Crowd, eventually } from '../outages/crowd.js';
import { Listener } from '../outages/listener.js';
import { Failover } from './failover.js';

const patienceMs = 120_000;

/** Somebody whose services are other replicas than those that a Crowd asks first. */
const connectTo = ({ services }: Failover['stack'], jwt: string): Promise<Chat> =>
  connect({
    urls: {
      api: services['message-api'][0]!.url,
      realtime: services['realtime-gateway'][1]!.url,
      readStatus: services['read-status-service'][1]!.url,
    },
    getToken: () => jwt,
  });

describe('the promotion of a standby that has all that was acknowledged', () => {
  let failover: Failover;
  let crowd: Crowd;
  let chat: Chat;
  let listener: Listener;

  beforeAll(async () => {
    failover = await Failover.prepare({ READ_ACK: 'database' });
    const { primary, standbyName, stack } = failover;
    await primary.query(`ALTER SYSTEM SET synchronous_standby_names = '${standbyName}'`);
    await primary.query('SELECT pg_reload_conf()');
    await until(async () => {
      const rows = await primary.query<{ application_name: string }>(
        "SELECT application_name FROM pg_stat_replication WHERE sync_state = 'sync'",
      );
      return rows[0]?.application_name === standbyName;
    });
    crowd = await Crowd.gather(stack, 5);
    chat = await connectTo(stack, crowd.jwts[4]!);
    listener = new Listener(stack.services['realtime-gateway'][0]!.url, crowd.jwts[4]!);
    await until(() => listener.welcomes.length === 1);
  }, 240_000);
  afterAll(async () => {
    listener.close();
    await chat.close();
    await failover.stop();
  }, 120_000);

  interface Sent {
    clientId: string;
    seq: number;
    token: string;
  }
  const sent: Sent[] = [];
  /** The highest that was acknowledged, of each who reads. */
  const cursors = [0, 0, 0, 0];
  /** What was not there although it had been acknowledged. */
  const missing: string[] = [];
  const path = () => `/v1/channels/${crowd.channelId}`;
  /** As every client does: again until it is answered. */
  const answered = <Body>(ask: () => Promise<Answer<Body>>) =>
    eventually(ask, ({ status }) => status !== 0 && status !== 503, patienceMs);

  async function send(who: number, clientId: string): Promise<Sent> {
    const { status, body, headers } = await answered(() => crowd.send(who, clientId));
    expect([200, 201]).toContain(status);
    const one = { clientId, seq: body.seq, token: headers.get('tidemark-token')! };
    sent.push(one);
    return one;
  }
  /** Held to its token. */
  async function get(who: number, { clientId, seq, token }: Sent): Promise<string | null> {
    const url = `${path()}/messages/${seq}`;
    const { status, body, headers } = await answered(() =>
      crowd.call<Message>('message-api', crowd.jwts[who]!, 'GET', url, undefined, token),
    );
    if (status !== 200 || body.text !== clientId) missing.push(`${clientId} at ${seq}: ${status}`);
    return headers.get('tidemark-served-by');
  }
  const readOnce = (who: number, { seq }: Sent) =>
    crowd.call<Count>('read-status-service', crowd.jwts[who]!, 'PUT', `${path()}/read`, { seq });
  async function read(who: number, one: Sent): Promise<void> {
    const { status, body } = await answered(() => readOnce(who, one));
    expect(status).toBe(200);
    cursors[who] = body.cursor;
  }
  const sentMore = (count: number) => {
    const enough = sent.length + count;
    return until(() => sent.length >= enough, { withinMs: patienceMs });
  };

  it('loses, repeats and renumbers nothing under load, and has clients begin anew, since they cannot know', async () => {
    const { primary, readReplica } = failover;
    const epochs: string[] = [];
    listener.socket.on('ready', ({ logEpoch }) => epochs.push(logEpoch));
    const epochBefore = await failover.logEpoch();
    const refetched: string[][] = [];
    chat.on('refetch', ({ channelIds }) => refetched.push(channelIds));

    const first = await send(0, 'first');
    await chat.channel(crowd.channelId).load();
    // The replica for reads serves, and then stands still for good: what comes now it never shows.
    await until(async () => (await get(1, first)) === 'replica');
    await readReplica.query('SELECT pg_wal_replay_pause()');

    let stopping = false;
    const clients = [0, 1, 2].map(async (who) => {
      for (let i = 0; !stopping; i++) {
        const one = await send(who, `${who}.${i}`);
        // Who is told of it reads it.
        await get((who + 1) % 3, one);
        await read(who, one);
        await breathe();
      }
    });
    await sentMore(30);
    // In the midst of it the standby receives no more, and what is answered all the same would be lost with the primary.
    await failover.isolate();
    const had = sent.length;
    // By somebody whose client would not say it again.
    let hasEnded = false;
    const reading = (async () => {
      for (const one of sent.slice(0, 20)) {
        const { status, body } = await readOnce(3, one);
        if (status !== 200) return;
        cursors[3] = body.cursor;
      }
    })().finally(() => (hasEnded = true));
    await until(async () => {
      const blocked = await primary.query<{ name: string }>(
        `SELECT application_name AS name FROM pg_stat_activity
          WHERE wait_event = 'SyncRep' OR wait_event_type = 'Lock'`,
      );
      const waits = (service: string) => blocked.some(({ name }) => name.includes(service));
      return (waits('message-api') || sent.length > had + 10) && (waits('read-status') || hasEnded);
    });
    await failover.promote();
    await until(() => listener.welcomes.length === 2 && refetched.length === 1, { withinMs: patienceMs });
    await sentMore(30);
    stopping = true;
    await Promise.all([...clients, reading]);

    // Tokens of both timelines.
    for (const one of sent) await get(3, one);
    expect(missing).toEqual([]);
    const { events, messages } = await failover.stored(crowd.channelId);
    expect(events).toEqual(events.map((_, i) => i + 1));
    expect(new Map(messages.map(({ seq, text }) => [text, seq]))).toEqual(
      new Map(sent.map(({ clientId, seq }) => [clientId, seq])),
    );
    expect(messages.length).toBe(sent.length);
    const cursorOf = async (who: number) =>
      (await crowd.call<Unread>('read-status-service', crowd.jwts[who]!, 'GET', '/v1/unread')).body.items[0]!
        .cursor;
    for (const who of [0, 1, 2, 3]) expect(await cursorOf(who)).toBeGreaterThanOrEqual(cursors[who]!);

    // A new timeline is another log epoch: one new beginning for each, of all channels, and nothing else.
    await until(() => listener.seqs(crowd.channelId).at(-1) === events.length);
    expect(epochs).toEqual([await failover.logEpoch()]);
    expect(epochs).not.toContain(epochBefore);
    expect(listener.welcomes).toEqual([{ refetch: [] }, { refetch: [crowd.channelId] }]);
    expect(refetched).toEqual([[crowd.channelId]]);
    const heard = listener.seqs(crowd.channelId);
    expect(heard).toEqual([...new Set(heard)].sort((one, other) => one - other));
    // But for what fell to the new beginning, which it was told to fetch.
    expect(heard.filter((seq, i) => i > 0 && seq !== heard[i - 1]! + 1).length).toBeLessThanOrEqual(1);
    const shown = () => chat.channel(crowd.channelId).messages.map(({ seq }) => seq);
    await until(() => chat.exact && chat.total === sent.length && shown().at(-1) === events.length);
    expect(shown()).toEqual(messages.slice(-shown().length).map(({ seq }) => seq));
    expect(await failover.atRest()).toEqual({ checked: 5, differences: showDifferences([]) });
  }, 300_000);
});

describe('the promotion of a standby that lacks acknowledged commits', () => {
  let failover: Failover;
  let chat: Chat | undefined;

  beforeAll(async () => {
    failover = await Failover.prepare();
  }, 240_000);
  afterAll(async () => {
    await chat?.close();
    await failover.stop();
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

  it('begins another history, in which nobody has read what nobody has seen', async () => {
    const { stack, standby } = failover;
    const crowd = await Crowd.gather(stack, 3);
    const { channelId } = crowd;
    chat = await connectTo(stack, crowd.jwts[1]!);
    const bobs = chat;
    await bobs.channel(channelId).load();
    const shown = () => bobs.channel(channelId).messages.map(({ text }) => text);

    for (const clientId of ['kept-0', 'kept-1', 'kept-2']) await send(crowd, clientId);
    const { cursor } = await read(crowd);
    await until(async () => {
      const flushed = await standby.query(
        'SELECT FROM channel_members WHERE cursor_seq = $1 AND user_id = $2',
        [cursor, crowd.userIds[1]],
      );
      return flushed.length === 1;
    });

    await failover.isolate();
    const lost = [await send(crowd, 'lost-0'), await send(crowd, 'lost-1')];
    expect(await read(crowd)).toMatchObject({ cursor: lost[1]!.seq, unread: 0 });
    await until(() => shown().includes('lost-1'));

    await failover.promote();

    const anew = [await send(crowd, 'new-0'), await send(crowd, 'new-1'), await send(crowd, 'new-2')];
    expect(anew.slice(0, 2).map(({ seq }) => seq)).toEqual(lost.map(({ seq }) => seq));
    for (const jwt of [crowd.jwts[1]!, crowd.jwts[1]!]) {
      const { body } = await eventually(
        () => crowd.call<Unread>('read-status-service', jwt, 'GET', '/v1/unread'),
        ({ status, body }) => status === 200 && body.total === 3,
      );
      expect(body).toMatchObject({ total: 3, items: [{ cursor, unread: 3 }] });
    }
    await until(() => bobs.exact && bobs.total === 3);
    const kept = ['kept-0', 'kept-1', 'kept-2'];
    await until(() => shown().length >= 6 && !shown().includes('lost-1'));
    expect(shown()).toEqual([...kept, 'new-0', 'new-1', 'new-2']);
    expect(await failover.atRest()).toEqual({ checked: 3, differences: showDifferences([]) });
  }, 300_000);
});
