import { decodeToken, encodeToken, type Consistency } from '@tidemark/channel-log';
import { consistencyTokenHeader, servedByHeader, type Count, type ServedBy } from '@tidemark/contracts';
import type { Database } from '@tidemark/database';
import { ProblemError } from '@tidemark/runtime';
import type { FastifyReply } from 'fastify';

/** What a request's Tidemark-Token holds its answer to; null without one. */
export function consistencyOf(token: string | undefined): Consistency | null {
  if (token === undefined) return null;
  const consistency = decodeToken(token);
  if (!consistency) throw new ProblemError('invalid-request', 'The Tidemark-Token is none of ours.');
  return consistency;
}

/**
 * Puts the headers that every answer carries, `of` being the one count that it is. Called after the answer is there:
 * the position, read now, holds all that it shows.
 */
export async function putConsistency(
  reply: FastifyReply,
  database: Database,
  servedBy: ServedBy,
  of?: Count,
): Promise<void> {
  const position = await database.position();
  const token = encodeToken(position, of && { channelId: of.channelId, seq: of.asOfSeq });
  reply.headers({ [consistencyTokenHeader]: token, [servedByHeader]: servedBy });
}
