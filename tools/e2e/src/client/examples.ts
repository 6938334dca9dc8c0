import { type Chat, ChatError, type ChatOptions, connect } from '@tidemark/client';

// The examples of docs/client.md, word for word: a test compares the two, and runs these.

export async function connecting(urls: ChatOptions['urls'], getToken: () => Promise<string>): Promise<Chat> {
  // #region connect
  const chat = await connect({
    urls, // { api, realtime, readStatus }; or url: 'https://chat.example.com', of one ingress
    getToken, // () => your JWT, or a promise of it; called again before it expires
  });

  chat.on('state', (state, error) => console.info(state, error?.code)); // online, offline, closed
  chat.on('message', (message, channel) => console.info(channel.id, message.text));
  console.info(chat.userId, chat.total, chat.mentions);
  // #endregion
  return chat;
}

export async function writing(chat: Chat, id: string): Promise<void> {
  // #region write
  const channel = chat.channel(id); // chat.channels are all those I am in
  await channel.load(); // the newest page; loadBefore() gets older ones
  channel.on('change', ({ messages, unread }) => console.info(messages.length, unread));

  const sending = channel.send('hi'); // in channel.messages at once, with status 'sending'
  const message = await sending; // stored, with its seq
  await channel.send({ text: 'hi all', mentionsAll: true, replyTo: message.seq, readTo: message.seq });
  await channel.edit(message.seq, 'hello');
  await channel.delete(message.seq);
  // #endregion
}

export async function failing(chat: Chat, id: string): Promise<void> {
  const channel = chat.channel(id);
  // #region fail
  try {
    await channel.send({ text: 'an answer to nothing', replyTo: 1_000_000 });
  } catch (error) {
    if (!(error instanceof ChatError)) throw error;
    console.info(error.code, error.status, error.temporary, error.errors);
    const failed = channel.messages.find(({ status }) => status === 'failed');
    if (failed?.clientId) channel.drop(failed.clientId); // or retry(failed.clientId)
  }
  // #endregion
}

export async function reading(chat: Chat, id: string): Promise<void> {
  const channel = chat.channel(id);
  // #region read
  void channel.markRead(); // all that has arrived; or markRead(seq), as it scrolls into view
  console.info(channel.unread, channel.mentions, chat.total); // moved already
  const first = channel.messages[0];
  if (first?.status === 'sent') await channel.markUnread(first.seq); // on all my devices
  await channel.load({ around: 'first-unread' });
  // #endregion
}

export async function passive(
  urls: ChatOptions['urls'],
  getToken: () => Promise<string>,
  id: string,
): Promise<Chat> {
  // #region passive
  const chat = await connect({ urls, getToken, passive: true });
  console.info(chat.total, chat.mentions); // of all channels, kept as ever

  const channel = chat.channel(id);
  await channel.open(); // everything from now on, and first what happened since it was last open
  await channel.load();
  console.info(channel.messages.length, channel.getSnapshot().open);
  await channel.close(); // counts alone again: messages stand still
  // #endregion
  return chat;
}

type UseSyncExternalStore = <Snapshot>(
  subscribe: (listener: () => void) => () => void,
  getSnapshot: () => Snapshot,
) => Snapshot;

export function watching(useSyncExternalStore: UseSyncExternalStore, chat: Chat, id: string): string {
  const channel = chat.channel(id);
  // #region react
  const { messages, unread, typingUserIds } = useSyncExternalStore(channel.subscribe, channel.getSnapshot);
  const { total, state } = useSyncExternalStore(chat.subscribe, chat.getSnapshot);
  // #endregion
  return `${messages.length} ${unread} ${typingUserIds.length} ${total} ${state}`;
}
