import type { ChannelSeqs, Ready } from '@tidemark/contracts';
import type { Channel } from './channel.js';
import type { ChatError } from './chat-error.js';
import type { Connection } from './connection.js';
import type { ConsistencyTokens } from './consistency-tokens.js';
import { countedAtOnceMax, type Recounts } from './recounts.js';

/** Of one `resume` or `catch-up`: fits into 64 KiB with ids of any length. */
const resumeMax = 1_000;

export interface CatchUpOptions {
  passive: boolean;
  known: ReadonlyMap<string, Channel>;
  connection: Connection;
  recounts: Recounts;
  tokens: ConsistencyTokens;
  /** A channel that was not known. */
  enter: (channelId: string, have: number) => void;
  onRefetch: (channelIds: string[]) => void;
}

/** Brings every channel up to its log's head: when a connection begins, and where a log cannot be followed. */
export class CatchUp {
  private logEpoch: string | null = null;

  constructor(private readonly options: CatchUpOptions) {}

  /**
   * What this client has, as much of it as fits; the rest is caught up on once it is connected. A passive one catches
   * up on what it opens.
   */
  resume() {
    if (this.logEpoch === null || this.options.passive) return undefined;
    const members = [...this.options.known.values()].filter(({ isMember }) => isMember).slice(0, resumeMax);
    return {
      logEpoch: this.logEpoch,
      channels: Object.fromEntries(members.map(({ id, log }) => [id, log.have])),
    };
  }

  begin({ logEpoch, heads, refetch = [] }: Ready): void {
    const { known, enter, passive } = this.options;
    const forget = this.logEpoch !== null && this.logEpoch !== logEpoch;
    const lost = new Set(refetch.filter((id) => known.has(id)));
    const behind: [id: string, head: number][] = [];
    this.logEpoch = logEpoch;
    for (const channel of known.values()) if (!(channel.id in heads)) channel.dismiss();
    for (const [id, head] of Object.entries(heads)) {
      const channel = known.get(id);
      if (!channel) enter(id, head);
      else if (forget || !channel.isMember) lost.add(id);
      else if (passive) channel.tell(head);
      else if (!lost.has(id) && channel.log.have < head) behind.push([id, head]);
      channel?.opening.begin();
    }
    if (lost.size > 0) void this.refetch([...lost], { forget });
    void this.catchUp(behind);
  }

  /** These cannot be caught up on: counts first, which say as of when, then what has come since. */
  async refetch(channelIds: readonly string[], { forget }: { forget: boolean }): Promise<void> {
    const { known, connection, recounts, tokens, onRefetch } = this.options;
    const channels = channelIds.flatMap((id) => known.get(id) ?? []);
    if (channels.length === 0) return;
    onRefetch(channels.map(({ id }) => id));
    if (forget) for (const { id } of channels) tokens.forget(id);
    const holds = channels.map((channel) => [channel, channel.hold({ forget })] as const);
    for (let from = 0; from < holds.length; from += countedAtOnceMax) {
      const some = holds.slice(from, from + countedAtOnceMax);
      try {
        const counts = await recounts.query(some.map(([{ id }]) => id));
        for (const [channel, held] of some) {
          const ofChannel = counts.get(channel.id);
          if (ofChannel) channel.goOn(held, ofChannel, { forget });
          else channel.dismiss();
        }
      } catch (error) {
        // Nothing but a refusal, which no retry changes, ends the patience; closed already, this does nothing.
        connection.close(error as ChatError);
      }
    }
  }

  /** What lies between what these have and their heads. */
  async catchUp(behind: readonly (readonly [id: string, head: number])[]): Promise<void> {
    const { known, connection } = this.options;
    const logEpoch = this.logEpoch!;
    for (const [id, head] of behind) known.get(id)?.log.wait(head);
    for (let from = 0; from < behind.length; from += resumeMax) {
      const some = behind.slice(from, from + resumeMax).flatMap(([id]) => known.get(id) ?? []);
      const channels: ChannelSeqs = Object.fromEntries(some.map(({ id, log }) => [id, log.have]));
      const answer = await connection.say('catch-up', { logEpoch, channels });
      if (answer?.ok && answer.refetch.length > 0) void this.refetch(answer.refetch, { forget: false });
      // Without an answer each fetches for itself what is missing.
      for (const channel of some) channel.log.waitNoMore();
    }
  }
}
