import { nextClientId, TEXT } from '../messages.js';
import type { Person } from '../population.js';
import type { World } from '../world.js';

let bareSeq = 0;

/** One row inserted, with all the indexes a message has. */
export async function bareCommit(world: World, author: Person): Promise<void> {
  await world.pool.query({
    name: 'bare-commit',
    text: `INSERT INTO bare_messages (channel_id, seq, ordinal, kind, author_id, text, client_id, fingerprint, created_at)
           VALUES (0, $1, $1, 'user', $2, $3, $4, '', now())`,
    values: [++bareSeq, author.id, TEXT, nextClientId()],
  });
}

/** As long as ours are. */
export function bareEnvelopes(...seqs: number[]): string {
  return JSON.stringify(
    seqs.map((seq) => ({
      ...{
        v: 1,
        type: 'message.created',
        channelId: 'bare',
        seq,
        ordinal: seq,
        at: new Date().toISOString(),
      },
      ...{ token: 'A'.repeat(39), actorId: '3000001' },
      payload: {
        ...{ channelId: '1200001', seq, ordinal: seq, kind: 'user', text: TEXT, mentions: [] },
        ...{ author: { id: '3000001', name: 'user 1', picture: null }, mentionsAll: false, replyTo: null },
        ...{ threadSeq: null, clientId: `bench-12345-${seq}`, createdAt: new Date().toISOString() },
        ...{ editedAt: null, deletedAt: null },
      },
    })),
  );
}
