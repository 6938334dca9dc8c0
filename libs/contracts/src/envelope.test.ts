import { type Channel, envelope, eventsQuery, eventTypes, type Message } from './index.js';

const at = '2026-01-31T09:30:00.000Z';
const base = { v: 1, channelId: '5', seq: 12, ordinal: 9, at, token: 'abc', actorId: '7' };

const message: Message = {
  channelId: '5',
  seq: 12,
  ordinal: 9,
  kind: 'user',
  author: { id: '7', name: 'Ada', picture: null },
  text: 'hello',
  mentions: [],
  mentionsAll: false,
  replyTo: null,
  threadSeq: null,
  clientId: 'c1',
  createdAt: at,
  editedAt: null,
  deletedAt: null,
};
const channel: Channel = {
  id: '5',
  name: 'tides',
  visibility: 'public',
  headSeq: 12,
  memberCount: 2,
  archivedAt: null,
  createdAt: at,
};

const payloads = {
  'message.created': message,
  'message.edited': { ...message, editedAt: at },
  'message.deleted': { ...message, text: null, deletedAt: at },
  'messages.pruned': { throughSeq: 4 },
  'channel.created': channel,
  'channel.updated': channel,
  'channel.archived': { ...channel, archivedAt: at },
  'member.joined': { userIds: ['8'] },
  'member.left': { userIds: ['8'] },
};

describe('an envelope', () => {
  it('has exactly the types of the contract', () => {
    expect(eventTypes).toEqual(Object.keys(payloads));
  });

  it.each(Object.entries(payloads))('carries the payload of %s', (type, payload) => {
    expect(envelope.parse({ ...base, type, payload })).toEqual({ ...base, type, payload });
  });

  it.each(['message.created', 'message.edited', 'message.deleted'])(
    'may only name the message of %s',
    (type) => {
      expect(envelope.parse({ ...base, type, payload: { seq: 12 } })).toMatchObject({ payload: { seq: 12 } });
    },
  );

  it('has no actor where the service itself acted', () => {
    const pruned = { ...base, type: 'messages.pruned', actorId: null, payload: { throughSeq: 4 } };
    expect(envelope.safeParse(pruned).success).toBe(true);
  });

  it('may have fields that a client does not know yet', () => {
    const newer = {
      ...base,
      type: 'member.left',
      payload: { userIds: ['8'], why: 'tired' },
      traceparent: '00',
    };
    expect(envelope.parse(newer)).toMatchObject({ payload: { userIds: ['8'] } });
  });

  it.each([
    ['another version', { ...base, v: 2, type: 'member.left', payload: { userIds: ['8'] } }],
    ['an unknown type', { ...base, type: 'message.liked', payload: { seq: 12 } }],
    ['the payload of another type', { ...base, type: 'member.left', payload: { throughSeq: 4 } }],
    ['no token', { ...base, token: undefined, type: 'member.left', payload: { userIds: ['8'] } }],
  ])('is refused with %s', (_, said) => {
    expect(envelope.safeParse(said).success).toBe(false);
  });
});

it('the log is read after a seq, which must be said', () => {
  expect(eventsQuery.parse({ after: '0' })).toEqual({ after: 0, limit: 50 });
  expect(eventsQuery.safeParse({}).success).toBe(false);
});
