import { Injectable } from '@nestjs/common';
import { LogStore } from '@tidemark/channel-log';
import type { EventPage, EventsQuery } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { ProblemError, type Identity } from '@tidemark/runtime';
import { Answer } from '../answer.js';
import { ChannelAccess } from '../channels/channel-access.js';

/** The log as it stands in PostgreSQL: what a client that missed something reads. */
@Injectable()
export class EventsService {
  constructor(
    private readonly database: Database,
    private readonly access: ChannelAccess,
    private readonly log: LogStore,
  ) {}

  async list(me: Identity, channelId: string, { after, limit }: EventsQuery): Promise<Answer<EventPage>> {
    await this.access.enter(channelId, me);
    const { rows, headSeq, floorSeq } = await this.log.rows(channelId, after, limit);
    if (after < floorSeq) {
      throw new ProblemError('log-pruned', `The log begins after seq ${floorSeq}: read the channel anew.`);
    }
    const position = await this.database.position();
    const items = (await this.log.entries(rows, position)).map(({ envelope }) => envelope);
    const hasAfter = headSeq > (rows.at(-1)?.seq ?? after);
    // Read again: the messages shown are as they stand by now.
    return Answer.at(await this.database.position(), { items, hasAfter }, { channelId, seq: headSeq });
  }
}
