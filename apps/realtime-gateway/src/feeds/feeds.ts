import { Inject, Injectable } from '@nestjs/common';
import { Keys } from '@tidemark/redis';
import { LOG, Metrics, type Log } from '@tidemark/runtime';
import { Topics } from '../topics/topics.js';
import { ChannelFeed } from './channel-feed.js';
import { readPublication } from './feed-event.js';
import { Heads } from './heads.js';
import { LogPages } from './log-pages.js';

/** A feed without subscriptions is kept for those who come right back. */
const lingerMs = 5_000;
const resyncChannelsMax = 1_000;

/** The channels that sockets of this gateway are in. */
@Injectable()
export class Feeds {
  private readonly feeds = new Map<string, ChannelFeed>();
  private readonly holesFilled;
  private onTyping: (feed: ChannelFeed, userId: string) => void = () => undefined;

  constructor(
    private readonly topics: Topics,
    private readonly heads: Heads,
    private readonly pages: LogPages,
    private readonly keys: Keys,
    @Inject(LOG) private readonly log: Log,
    @Inject(Metrics) metrics: Metrics,
  ) {
    this.holesFilled = metrics.counter(
      'holes_filled_total',
      'Events read from the log because they did not come through Redis.',
    );
    metrics.gauge('feeds', 'Channels this gateway follows.', [], (gauge) => gauge.set(this.feeds.size));
  }

  /**
   * Runs `join` with the feeds of channels and their heads. The topics are subscribed before the heads are read,
   * so an event is either at or below a head, or the feed hears of it.
   */
  async join(
    channelIds: readonly string[],
    join: (feeds: Map<string, ChannelFeed>, heads: Map<string, number>) => void,
  ): Promise<void> {
    const feeds = new Map(channelIds.map((channelId) => [channelId, this.open(channelId)]));
    for (const feed of feeds.values()) feed.joins++;
    try {
      await this.topics.subscribe([...feeds].map(([channelId, feed]) => this.topicOf(channelId, feed)));
      const heads = await this.heads.of(channelIds);
      for (const [channelId, feed] of feeds) feed.reach(heads.get(channelId) ?? 0);
      join(feeds, heads);
    } finally {
      for (const feed of feeds.values()) {
        feed.joins--;
        this.closeIfUnused(feed);
      }
    }
  }

  /** Somebody is told who is writing where. */
  whenTyping(listener: (feed: ChannelFeed, userId: string) => void): void {
    this.onTyping = listener;
  }

  find(channelId: string): ChannelFeed | undefined {
    return this.feeds.get(channelId);
  }

  /** After a cut: whoever missed something gets it now. */
  async resync(): Promise<void> {
    const channelIds = [...this.feeds.keys()];
    for (let from = 0; from < channelIds.length; from += resyncChannelsMax) {
      const heads = await this.heads.of(channelIds.slice(from, from + resyncChannelsMax));
      for (const [channelId, headSeq] of heads) this.feeds.get(channelId)?.reach(headSeq);
    }
  }

  closeIfUnused(feed: ChannelFeed): void {
    if (feed.subscriptions.size > 0 || feed.joins > 0) return;
    setTimeout(() => {
      if (feed.subscriptions.size > 0 || feed.joins > 0 || this.feeds.get(feed.channelId) !== feed) return;
      this.feeds.delete(feed.channelId);
      feed.close();
      this.topics.unsubscribe(this.keys.eventsTopic(feed.channelId));
    }, lingerMs).unref();
  }

  /** Everything known of every channel is of a history that is no more. */
  forget(): void {
    for (const feed of this.feeds.values()) {
      feed.close();
      this.topics.unsubscribe(this.keys.eventsTopic(feed.channelId));
    }
    this.feeds.clear();
  }

  private open(channelId: string): ChannelFeed {
    let feed = this.feeds.get(channelId);
    if (!feed) {
      feed = new ChannelFeed(channelId, {
        pages: this.pages,
        log: this.log,
        onFilled: (events) => this.holesFilled.inc(events),
      });
      this.feeds.set(channelId, feed);
    }
    return feed;
  }

  private topicOf(channelId: string, feed: ChannelFeed) {
    const listener = (message: string) => {
      const said = readPublication(message);
      if ('typing' in said) this.onTyping(feed, said.typing);
      else feed.hear(said);
    };
    return { topic: this.keys.eventsTopic(channelId), listener };
  }
}
