import type { Channel } from '@tidemark/contracts';
import { useDatabase, useRedis } from '@tidemark/testing';
import { useApi, type Person } from './test-support/use-api.js';

describe('a request', () => {
  const database = useDatabase();
  const redis = useRedis();
  const api = useApi({ databaseUrl: database.url, redisUrl: redis.url });
  let ada: Person;
  let channel: Channel;
  let seq: number;

  beforeEach(async () => {
    ada = await api.person('ada');
    channel = await ada.creates('public');
    seq = (await ada.sends(channel)).body.seq;
  });

  const nothingChanged = async () => {
    const [row] = await database.query<{ head: number }>(
      'SELECT head_seq::int AS head FROM channels WHERE id = $1',
      [channel.id],
    );
    expect(row).toEqual({ head: seq });
  };
  const tooLong = 'x'.repeat(8_001);
  const c = '/v1/channels/:c';
  const wrong: [string, 'POST' | 'PATCH' | 'GET' | 'DELETE', string, (object | string)?][] = [
    ['no text', 'POST', `${c}/messages`, { clientId: '1' }],
    ['an empty text', 'POST', `${c}/messages`, { clientId: '1', text: '' }],
    ['a text that is too long', 'POST', `${c}/messages`, { clientId: '1', text: tooLong }],
    ['a text with NUL', 'POST', `${c}/messages`, '{"clientId":"1","text":"a\\u0000b"}'],
    ['a text with half a surrogate pair', 'POST', `${c}/messages`, '{"clientId":"1","text":"a\\ud800b"}'],
    ['a clientId with NUL', 'POST', `${c}/messages`, '{"clientId":"\\u0000","text":"x"}'],
    ['a clientId that is too long', 'POST', `${c}/messages`, { clientId: 'x'.repeat(65), text: 'x' }],
    ['an unknown field', 'POST', `${c}/messages`, { clientId: '1', text: 'x', channelId: '1' }],
    ['a number for a mention', 'POST', `${c}/messages`, { clientId: '1', text: 'x', mentions: [1] }],
    [
      'a mention beyond bigint',
      'POST',
      `${c}/messages`,
      { clientId: '1', text: 'x', mentions: ['9223372036854775808'] },
    ],
    ['a reply to nothing', 'POST', `${c}/messages`, { clientId: '1', text: 'x', replyTo: 0 }],
    ['a readTo beyond reason', 'POST', `${c}/messages`, { clientId: '1', text: 'x', readTo: 1e300 }],
    ['a readTo below nothing', 'POST', `${c}/messages`, { clientId: '1', text: 'x', readTo: -1 }],
    ['what is not JSON', 'POST', `${c}/messages`, '{"clientId":'],
    ['a list', 'POST', `${c}/messages`, []],
    ['a body that is too large', 'POST', `${c}/messages`, { clientId: '1', text: 'x'.repeat(70_000) }],
    ['a deep body', 'POST', `${c}/messages`, `${'['.repeat(9)}${']'.repeat(9)}`],
    ['an empty edit', 'PATCH', `${c}/messages/:s`, {}],
    ['a seq that is no number', 'PATCH', `${c}/messages/x`, { text: 'x' }],
    ['a seq of zero', 'DELETE', `${c}/messages/0`],
    ['a seq beyond reason', 'DELETE', `${c}/messages/99999999999999999999`],
    ['an empty name', 'PATCH', c, { name: '' }],
    ['nothing to change', 'PATCH', c, {}],
    ['nobody to add', 'POST', `${c}/members`, { userIds: [] }],
    [
      'more to add than there may be',
      'POST',
      `${c}/members`,
      { userIds: Array.from({ length: 1_001 }, (_, i) => `${i + 1}`) },
    ],
    ['an id beyond bigint', 'GET', '/v1/channels/9223372036854775808'],
    ['an id with a leading zero', 'GET', '/v1/channels/01'],
    ['an id that is no number', 'GET', '/v1/users/me'],
    ['a limit beyond a hundred', 'GET', `${c}/messages?limit=101`],
    ['two places in history', 'GET', `${c}/messages?before=1&after=1`],
    ['a place that is none', 'GET', `${c}/messages?around=last-read`],
    ['no place in the log', 'GET', `${c}/events`],
    ['a cursor of nobody', 'GET', '/v1/channels?cursor=AAAA'],
    ['a cursor with other signs', 'GET', '/v1/channels?cursor=%00'],
    ['a cursor that is no id', 'GET', `${c}/members?cursor=${Buffer.from('-1').toString('base64url')}`],
    ['a query that is not there', 'GET', `${c}/members?order=name`],
  ];
  it.each(wrong)('with %s is refused and changes nothing', async (...[title, method, path, payload]) => {
    const status = title.includes('too large') ? 413 : 400;
    const url = path.replace(':c', channel.id).replace(':s', String(seq));
    const reply = await ada.call(method, url, payload);
    expect([reply.status, reply.body]).toMatchObject([
      status,
      { status, type: expect.stringContaining('urn:tidemark:problem:') },
    ]);
    expect(reply.headers['content-type']).toBe('application/problem+json');
    await nothingChanged();
  });

  it.each([
    ['GET', '/v1/channels/9223372036854775807'],
    ['PATCH', '/v1/channels/9223372036854775807'],
    ['POST', '/v1/channels/9223372036854775807/messages'],
    ['POST', '/v1/channels/9223372036854775807/members'],
    ['GET', '/v1/channels/9223372036854775807/events?after=0'],
  ] as const)('to what is not there is answered 404: %s %s', async (method, url) => {
    const bodies = { messages: { clientId: '1', text: 'x' }, members: { userIds: [ada.id] } };
    const payload = method === 'GET' ? undefined : (bodies[url.split('/')[4] as 'messages'] ?? { name: 'x' });
    const { status, body } = await ada.call(method, url, payload);
    expect([status, body.code]).toEqual([404, 'not-found']);
  });

  it('may carry a token, and every answer has one', async () => {
    const held = (await ada.get('/v1/me')).token;
    const urls = [
      '/v1/me',
      '/v1/channels',
      '',
      '/members',
      '/messages',
      `/messages/${seq}`,
      '/events?after=0',
    ];
    for (const url of urls) {
      const path = url.startsWith('/v1') ? url : `/v1/channels/${channel.id}${url}`;
      const { status, headers } = await ada.get(path, { 'tidemark-token': held });
      expect([status, headers]).toMatchObject([
        200,
        { 'tidemark-token': expect.stringMatching(/^[\w-]{1,256}$/), 'tidemark-served-by': 'primary' },
      ]);
    }
    const write = await ada.sends(channel);
    expect(write.headers).toMatchObject({
      'tidemark-token': expect.any(String),
      'tidemark-served-by': 'primary',
    });
  });

  it.each(['', 'x', '!', 'a'.repeat(257), 'AQAAAAEAAAAAAbzXIAA', 'AgAAAAEAAAAAAbzXIA'])(
    'with the token %p is refused, and changes nothing',
    async (token) => {
      const url = `/v1/channels/${channel.id}/messages`;
      const reply = await ada.call('POST', url, { clientId: '1', text: 'x' }, { 'tidemark-token': token });
      expect([reply.status, reply.body.code]).toEqual([400, 'invalid-request']);
      await nothingChanged();
    },
  );
});
