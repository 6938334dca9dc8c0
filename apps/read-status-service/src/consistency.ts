import { decodeToken, type Consistency } from '@tidemark/channel-log';
import { ProblemError } from '@tidemark/runtime';

/** What a request's Tidemark-Token holds its answer to; null without one. */
export function consistencyOf(token: string | undefined): Consistency | null {
  if (token === undefined) return null;
  const consistency = decodeToken(token);
  if (!consistency) throw new ProblemError('invalid-request', 'The Tidemark-Token is none of ours.');
  return consistency;
}
