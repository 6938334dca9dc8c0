import { Inject, Injectable } from '@nestjs/common';
import { aFewAtATime, ChannelLog } from '@tidemark/channel-log';
import { Database } from '@tidemark/database';
import { countUnread, groupByShard, Keys, type CountQuestion } from '@tidemark/redis';
import { ProblemError } from '@tidemark/runtime';

const attemptsMax = 8;
/** Questions a script call, so that Redis is held for a millisecond or two. */
const questionsMax = 200;

export interface ExactCount {
  unread: number;
  mentions: number;
  /** The seq as of which it is exact. */
  asOfSeq: number;
}

/**
 * Counts what lies above a cursor: head minus cursor, less what does not count. From the marks in Redis; for
 * cursors below them from PostgreSQL. Nothing is stored for it, so nothing can drift.
 */
@Injectable()
export class UnreadCounter {
  constructor(
    @Inject(ChannelLog) private readonly log: ChannelLog,
    @Inject(Database) private readonly database: Database,
    @Inject(Keys) private readonly keys: Keys,
  ) {}

  /** Answers in the order of the questions. Errors: `rebuilding`, while a channel cannot be loaded; never a guess. */
  async count(questions: readonly CountQuestion[]): Promise<ExactCount[]> {
    const counts = new Array<ExactCount>(questions.length);
    let open = questions.map((question, at) => ({ ...question, at }));
    for (let attempt = 1; open.length > 0; attempt++) {
      if (attempt > attemptsMax) throw new ProblemError('rebuilding', 'Counts are being loaded; try again.');
      const { logEpoch } = await this.log.epochOfLog();
      const again: typeof open = [];
      const belowMarks: typeof open = [];
      const notLoaded = new Set<string>();
      const behind = new Map<string, number>();
      const byShard = groupByShard(open, ({ channelId }) => this.keys.channelShardName(channelId));
      await Promise.all(
        [...byShard].flatMap(([shardName, ofShard]) =>
          chunks(ofShard, questionsMax).map(async (chunk) => {
            const answers = await this.log.withEpoch((client) =>
              countUnread(client, this.keys, shardName, logEpoch, chunk),
            );
            answers.forEach((answer, i) => {
              const question = chunk[i]!;
              if (answer.state === 'not-loaded') {
                notLoaded.add(question.channelId);
                again.push(question);
              } else if (answer.state === 'behind') {
                behind.set(question.channelId, answer.knownSeq);
                again.push(question);
              } else if (answer.state === 'below-marks') {
                belowMarks.push(question);
              } else {
                counts[question.at] = answer;
              }
            });
          }),
        ),
      );
      await Promise.all([
        aFewAtATime([...notLoaded], (channelId) => this.log.load(channelId)),
        aFewAtATime([...behind], ([channelId, seq]) => this.log.reach(channelId, seq)),
        this.countInDatabase(belowMarks, counts),
      ]);
      open = again;
    }
    return counts;
  }

  private async countInDatabase(
    questions: readonly (CountQuestion & { at: number })[],
    counts: ExactCount[],
  ): Promise<void> {
    if (questions.length === 0) return;
    const { rows } = await this.database.query<{
      at: number;
      asOfSeq: string;
      unread: string;
      mentions: string;
    }>({
      name: 'unread-of',
      text: `SELECT q.at, u.as_of_seq AS "asOfSeq", u.unread, u.mentions
               FROM unnest($1::int[], $2::bigint[], $3::bigint[], $4::bigint[]) AS q(at, channel_id, user_id, cursor)
              CROSS JOIN LATERAL unread_of(q.channel_id, q.user_id, q.cursor) u`,
      values: [
        questions.map(({ at }) => at),
        questions.map(({ channelId }) => channelId),
        questions.map(({ userId }) => userId),
        questions.map(({ cursor }) => cursor),
      ],
    });
    for (const { at, asOfSeq, unread, mentions } of rows) {
      counts[at] = { asOfSeq: Number(asOfSeq), unread: Number(unread), mentions: Number(mentions) };
    }
  }
}

export function chunks<Item>(items: readonly Item[], size: number): Item[][] {
  const result: Item[][] = [];
  for (let from = 0; from < items.length; from += size) result.push(items.slice(from, from + size));
  return result;
}
