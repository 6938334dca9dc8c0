import { Chat, connectWithinMs } from './chat.js';
import { ChatError } from './chat-error.js';
import type { ChatOptions } from './chat-options.js';

/**
 * Connects, and resolves when everything is counted. From then on the connection is kept up.
 *
 * @throws ChatError: `unauthenticated`, `token-expired`, or `no-answer` when nobody answered in time
 */
export async function connect(options: ChatOptions): Promise<Chat> {
  const { timeoutMs = connectWithinMs, signal } = options;
  const chat = new Chat(options);
  const { connection, recounts } = chat;
  let last: ChatError | null = null;
  let stop = () => {};
  const timer = setTimeout(
    () => connection.close(last ?? new ChatError('no-answer', `Not connected within ${timeoutMs} ms.`)),
    timeoutMs,
  );
  const abort = () => connection.close(new ChatError('closed', 'Connecting was called off.'));
  signal?.addEventListener('abort', abort);
  try {
    await new Promise<void>((resolve, reject) => {
      stop = chat.on('state', (state, error) => {
        last = error ?? last;
        if (state === 'closed') reject(last ?? new ChatError('closed', 'The chat was closed.'));
        if (state === 'online')
          recounts.all().then(resolve, (refusal: ChatError) => connection.close(refusal));
      });
      if (signal?.aborted) abort();
      else void connection.open();
    });
    return chat;
  } finally {
    clearTimeout(timer);
    stop();
    signal?.removeEventListener('abort', abort);
  }
}
