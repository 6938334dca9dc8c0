import type { Message } from '@tidemark/contracts';
import type { Channel, Chat, ChatError, ChatMessage, connect } from './index.js';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
const holds = <_Law extends true>() => undefined;

/** What the compiler says of a program that uses the client; tsc -b is what runs these. */
export function program(chat: Chat, channel: Channel, message: ChatMessage, error: ChatError): void {
  holds<Equal<Awaited<ReturnType<typeof connect>>, Chat>>();
  holds<Equal<Awaited<ReturnType<Channel['send']>>, Message>>();
  holds<Equal<Chat['total'], number>>();

  // The status of a message says what else it has.
  if (message.status === 'sent') holds<Equal<typeof message.seq, number>>();
  else holds<Equal<typeof message.seq, null>>();
  if (message.status === 'failed') holds<Equal<typeof message.error, ChatError | null>>();

  chat.on('event', (envelope) => {
    if (envelope.type === 'member.joined') holds<Equal<typeof envelope.payload.userIds, string[]>>();
    // @ts-expect-error No such event is in the log.
    if (envelope.type === 'message.read') return;
  });
  chat.on('notice', (notice) => {
    if (notice.type === 'typing') holds<Equal<typeof notice.expiresInMs, number>>();
  });
  if (error.code === 'log-pruned' || error.code === 'no-answer') void error.retryAfterMs;
  // @ts-expect-error No such code.
  if (error.code === 'gone-fishing') return;

  // @ts-expect-error There is no such event of a channel.
  channel.on('changed', () => undefined);
  // @ts-expect-error A message needs a text.
  void channel.send({ mentions: ['1'] });
  // @ts-expect-error Its clientId is the client's own.
  void channel.send({ text: 'hi', clientId: 'mine' });
  // @ts-expect-error A snapshot does not change.
  channel.getSnapshot().unread = 0;
  // @ts-expect-error Nor does a list in it.
  channel.messages[0] = message;
  // @ts-expect-error Either url or urls is looked for at run time, but a token is needed here.
  const options: Parameters<typeof connect>[0] = { url: 'https://chat.example.com' };
  void options;
}

it('is checked by the compiler', () => {
  expect(program).toBeInstanceOf(Function);
});
