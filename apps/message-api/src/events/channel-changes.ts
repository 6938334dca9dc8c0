import { Injectable } from '@nestjs/common';
import { LogStore, type LogRow } from '@tidemark/channel-log';
import type { CreateChannel } from '@tidemark/contracts';
import { Database, type Query } from '@tidemark/database';
import type { Identity } from '@tidemark/runtime';
import { Answer } from '../answer.js';
import { ChannelsStore, type ChannelView } from '../channels/channels.store.js';
import { Applies } from './applies.js';
import { EventsStore, type NewEvent } from './events.store.js';

/** A change under way: its transaction holds the channel's row. */
export interface Change {
  query: Query;
  channelId: string;
  append: (event: NewEvent) => Promise<LogRow>;
}

/**
 * Everything that changes a channel, sends aside: one transaction that locks the channel's row, judges, writes
 * and logs; then, once it is committed, the way of its events into Redis.
 */
@Injectable()
export class ChannelChanges {
  constructor(
    private readonly database: Database,
    private readonly channels: ChannelsStore,
    private readonly events: EventsStore,
    private readonly log: LogStore,
    private readonly applies: Applies,
  ) {}

  /** `view` is read after the lock, by a statement of its own: it sees all that was committed while this waited. */
  change<Body>(
    channelId: string,
    me: Identity,
    work: (change: Change & { view: ChannelView | null }) => Promise<Body>,
  ): Promise<Answer<Body>> {
    return this.commit(async (query) => {
      await this.channels.lock(query, channelId);
      const view = await this.channels.view(channelId, me.userId, query);
      const { change, logged } = this.begin(query, channelId);
      const body = await work({ ...change, view });
      return { body, channelId, logged, headSeq: logged.at(-1)?.seq ?? view?.channel.headSeq ?? 0 };
    });
  }

  create<Body>(wanted: CreateChannel, work: (change: Change) => Promise<Body>): Promise<Answer<Body>> {
    return this.commit(async (query) => {
      const channelId = await this.channels.insert(query, wanted);
      const { change, logged } = this.begin(query, channelId);
      const body = await work(change);
      return { body, channelId, logged, headSeq: logged.at(-1)?.seq ?? 0 };
    });
  }

  private begin(query: Query, channelId: string): { change: Change; logged: LogRow[] } {
    const logged: LogRow[] = [];
    const append = async (event: NewEvent) => {
      const row = await this.events.append(query, channelId, event);
      logged.push(row);
      return row;
    };
    return { change: { query, channelId, append }, logged };
  }

  private async commit<Body>(
    work: (query: Query) => Promise<{ body: Body; channelId: string; logged: LogRow[]; headSeq: number }>,
  ): Promise<Answer<Body>> {
    const { body, channelId, logged, headSeq } = await this.database.transaction((client) =>
      work((statement, parameters) =>
        typeof statement === 'string' ? client.query(statement, parameters) : client.query(statement),
      ),
    );
    // After the commit, or the token would name a place before it.
    const position = await this.database.position();
    if (logged.length > 0) await this.applies.settle(channelId, await this.log.entries(logged, position));
    return Answer.at(position, body, { channelId, seq: headSeq });
  }
}
