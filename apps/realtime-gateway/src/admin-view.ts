import { instrument } from '@socket.io/admin-ui';
import { Lru, TokenBucket, type Config } from '@tidemark/runtime';
import type { Server } from 'socket.io';

const namespaceName = '/admin';
/** Each costs a tenth of a second that everybody else's events wait for: so many a second, after so many at once. */
const attemptsPerS = 0.2;
const attemptsAtOnce = 5;
const credentialCharsMax = 128;
const sessionsMax = 100;

/**
 * Socket.IO's admin view of this gateway: how many are connected, and how much goes through. Read-only, and in the
 * mode that tells of no single socket and no event: handshakes hold addresses, events what people write.
 */
export function serveAdminView(
  server: Server,
  { username, passwordHash }: NonNullable<Config['socketAdmin']>,
): void {
  const attempts = new TokenBucket(attemptsPerS, attemptsAtOnce);
  const sessions = new Lru<string, true>(sessionsMax);
  // Before the view's own check, which rejects what is no string where nobody catches it, and tries as often as asked.
  server.of(namespaceName).use(({ handshake }, next) => {
    const auth: Record<string, unknown> = handshake.auth;
    const isSession = typeof auth['sessionId'] === 'string' && sessions.get(auth['sessionId']) === true;
    if (isSession) return next();
    if (!isCredential(auth['username']) || !isCredential(auth['password'])) {
      return next(new Error('invalid credentials'));
    }
    next(attempts.take() > 0 ? new Error('rate-limited') : undefined);
  });
  instrument(server, {
    namespaceName,
    auth: { type: 'basic', username, password: passwordHash },
    readonly: true,
    mode: 'production',
    store: {
      doesSessionExist: async (sessionId) => sessions.get(sessionId) === true,
      saveSession: (sessionId) => sessions.set(sessionId, true),
    },
  });
}

const isCredential = (said: unknown): said is string =>
  typeof said === 'string' && said.length <= credentialCharsMax;
