import type { Envelope, Message } from '@tidemark/contracts';
import { alertOf, shows, type Alert } from './pair.js';

const message: Message = {
  ...{
    channelId: '7',
    seq: 12,
    ordinal: 9,
    kind: 'user',
    text: 'high water',
    mentions: [],
    mentionsAll: false,
  },
  ...{ author: { id: '3', name: 'Ada', picture: null }, replyTo: null, threadSeq: null, clientId: 'a-1' },
  ...{ createdAt: '2026-11-22T10:00:00.000Z', editedAt: null, deletedAt: null },
};
const envelope = (type: string, seq: number, payload: object) =>
  ({
    v: 1,
    type,
    channelId: '7',
    seq,
    ordinal: 9,
    at: message.createdAt,
    token: 't',
    actorId: '3',
    payload,
  }) as Envelope;
const heard = { reader: 0, heardAtMs: 0, nth: 0 };
const created = alertOf(envelope('message.created', 12, message), heard)!;
const edit = { ...message, text: 'low water', editedAt: '2026-11-22T10:00:01.000Z' };
const edited = alertOf(envelope('message.edited', 13, edit), heard)!;

describe('an alert', () => {
  it('names the event and the message it is about, with what came along', () => {
    expect(created).toMatchObject({ seq: 12, messageSeq: 12, isEdit: false, said: { clientId: 'a-1' } });
    expect(edited).toMatchObject({ seq: 13, messageSeq: 12, isEdit: true });
    expect(alertOf(envelope('message.created', 12, { seq: 12 }), heard)!.said).toBeNull();
  });

  it('is none where the event is about no message', () => {
    expect(alertOf(envelope('member.joined', 3, { userIds: ['3'] }), heard)).toBeNull();
  });
});

describe('a read', () => {
  const idAlone = (alert: Alert): Alert => ({ ...alert, said: null });

  it('shows the message that the alert spoke of, as new at the least', () => {
    expect(shows(created, message)).toBe(true);
    expect(shows(created, edit)).toBe(true);
    expect(shows(edited, edit)).toBe(true);
    expect(shows(idAlone(edited), edit)).toBe(true);
  });

  it.each([
    ['nothing', undefined],
    ['another message under the same number', { ...message, clientId: 'b-1' }],
    ['another number', { ...message, seq: 11 }],
    ['no author', { ...message, author: { ...message.author, name: '' } }],
  ])('does not show it where there is %s', (_, read) => {
    expect(shows(created, read)).toBe(false);
  });

  it('does not show an edit where it finds the message of before', () => {
    expect(shows(edited, message)).toBe(false);
    expect(shows(idAlone(edited), message)).toBe(false);
    expect(shows(edited, { ...edit, editedAt: '2026-11-22T10:00:00.500Z' })).toBe(false);
  });
});
