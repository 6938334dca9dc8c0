import type { Envelope, Message } from '@tidemark/client';
import { follow, join } from './replies.js';

const reply = (seq: number, text: string | null = `reply ${seq}`, threadSeq: number | null = 2) =>
  ({ seq, text, threadSeq }) as unknown as Message;
const event = (type: string, payload: unknown) => ({ type, payload }) as unknown as Envelope;
const texts = (replies: readonly Message[]) => replies.map(({ text }) => text);

describe('the replies of a thread', () => {
  it('follow what is said, edited and deleted in it', () => {
    const said = [event('message.created', reply(5)), event('message.created', reply(7))];
    const changed = [
      event('message.edited', reply(5, 'better')),
      event('message.deleted', reply(7, null)),
      event('messages.pruned', { throughSeq: 5 }),
    ];
    const told = said.reduce((replies, one) => follow(replies, one, 2), [] as readonly Message[]);
    expect(texts(told)).toEqual(['reply 5', 'reply 7']);
    const edited = follow(told, changed[0]!, 2);
    expect(texts(edited)).toEqual(['better', 'reply 7']);
    expect(texts(follow(edited, changed[1]!, 2))).toEqual(['better', null]);
    expect(texts(follow(edited, changed[2]!, 2))).toEqual(['reply 7']);
  });

  it('are not moved by what is said elsewhere', () => {
    const replies = [reply(5)];
    expect(follow(replies, event('message.created', reply(6, 'x', null)), 2)).toBe(replies);
    expect(follow(replies, event('member.joined', { userIds: ['1'] }), 2)).toBe(replies);
  });

  it('of a page are those that events have told of since', () => {
    const page = [reply(5), reply(6)];
    expect(texts(join(page, [reply(6, 'edited'), reply(8)], 2))).toEqual(['reply 5', 'edited', 'reply 8']);
  });
});
