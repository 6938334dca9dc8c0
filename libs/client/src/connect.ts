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
  let last: ChatError | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let abort = () => {};
  let stop = () => {};
  try {
    await new Promise<void>((resolve, reject) => {
      timer = setTimeout(
        () => reject(last ?? new ChatError('no-answer', `Not connected within ${timeoutMs} ms.`)),
        timeoutMs,
      );
      abort = () => reject(new ChatError('closed', 'Connecting was called off.'));
      if (signal?.aborted) return abort();
      signal?.addEventListener('abort', abort);
      stop = chat.on('state', (state, error) => {
        last = error ?? last;
        if (state === 'closed') reject(last ?? new ChatError('closed', 'The chat was closed.'));
        if (state === 'online') void chat.counted().then(resolve, reject);
      });
      chat.open();
    });
    return chat;
  } catch (error) {
    chat.abandon();
    throw error;
  } finally {
    clearTimeout(timer);
    stop();
    signal?.removeEventListener('abort', abort);
  }
}
