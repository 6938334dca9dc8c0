import type { Database } from '@tidemark/database';
import type { Truth } from './judge.js';

/** What PostgreSQL has of these channels' messages, from the primary. */
export async function readTruth(database: Database, channelIds: readonly string[]): Promise<Truth> {
  const { rows } = await database.query<{
    channelId: string;
    seq: string;
    messageSeq: string;
    type: string;
    clientId: string | null;
  }>(
    `SELECT e.channel_id AS "channelId", e.seq, e.message_seq AS "messageSeq", e.type, m.client_id AS "clientId"
       FROM channel_events e
       JOIN messages m ON m.channel_id = e.channel_id AND m.seq = e.message_seq
      WHERE e.channel_id = ANY($1::bigint[])`,
    [channelIds],
  );
  return {
    events: new Map(
      rows.map(({ channelId, seq, messageSeq, type, clientId }) => [
        `${channelId}:${seq}`,
        { messageSeq: Number(messageSeq), isEdit: type === 'message.edited', clientId },
      ]),
    ),
  };
}
