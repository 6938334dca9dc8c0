import type { RedisClient } from '../client.js';
import type { Keys } from '../keys.js';
import { Script } from './script.js';

const script = new Script('install-channel.lua');

export interface ChannelState {
  channelId: string;
  logEpoch: string;
  /** The seq as of which the state is exact. */
  headSeq: number;
  ordinal: number;
  /** Marks are complete above this seq. */
  floorSeq: number;
  prunedSeq: number;
  marks: string[];
  /** Whether the strategies that count by member are to hear of it. */
  stream: boolean;
}

/** Installs a loaded channel, unless its log is known to go further than the load saw. */
export async function installChannel(
  redis: RedisClient,
  keys: Keys,
  epoch: string,
  state: ChannelState,
): Promise<{ outcome: 'installed' | 'present' | 'behind' | 'no-epoch'; seq: number }> {
  const { channelId } = state;
  const shardName = keys.channelShardName(channelId);
  const [outcome, seq] = await script.run<['installed' | 'present' | 'behind' | 'no-epoch', number]>(
    redis,
    [keys.epoch(shardName), keys.channel(channelId), keys.marks(channelId), keys.stream(shardName)],
    [
      epoch,
      state.logEpoch,
      state.headSeq,
      state.ordinal,
      state.floorSeq,
      state.prunedSeq,
      keys.eventsTopic(channelId),
      channelId,
      state.stream ? 1 : 0,
      ...state.marks,
    ],
  );
  return { outcome, seq };
}
