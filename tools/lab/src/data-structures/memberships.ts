/** How far somebody has read a channel. */
export interface Membership {
  userId: number;
  channelId: number;
  term: number;
  cursor: number;
  /** Seconds since 1970. */
  lastReadS: number;
}

/** Ids as an installation has them after some years, in digits and in bytes. */
const FIRST = { user: 3_000_000, channel: 1_200_000 };
const CHANNELS = 2_000;
/** The ids between are of channels that none of these users is in. */
const ID_STEP = 257;
/** Where those are who are in any, the first of them first: #general and its like. */
const COMMON = 20;
const CHANNELS_EACH_MAX = 300;
const CURSOR_MAX = 100_000;
const NOW_S = 1_790_000_000;
const DAYS_90_S = 90 * 86_400;

/** By user: from 1 to 300 channels each, most of them in few, cursors anywhere. The same at every run. */
export function membershipsOf(users: number): Membership[][] {
  return Array.from({ length: users }, (_, i) => {
    const count = Math.round(CHANNELS_EACH_MAX ** (((i * 7_919) % users) / Math.max(1, users - 1)));
    return ofUser(i, count);
  });
}

/** A user in a thousand channels: more than fit into a compact encoding. */
export const manyChannels = (users: number): Membership[] => ofUser(users, 1_000);

/** In the order of their channels. */
function ofUser(i: number, count: number): Membership[] {
  return Array.from({ length: count }, (_, j) => ({
    userId: FIRST.user + i,
    channelId: FIRST.channel + ID_STEP * channelOf(i, j),
    term: 1,
    cursor: 1 + ((i * 104_729 + j * 7_919) % CURSOR_MAX),
    lastReadS: NOW_S - ((i * 3_571 + j * 9_973) % DAYS_90_S),
  })).sort((a, b) => a.channelId - b.channelId);
}

function channelOf(i: number, j: number): number {
  if (j < COMMON) return j;
  // A prime that does not divide their number: no channel comes twice.
  return COMMON + ((i * 7_919 + j * 1_049) % (CHANNELS - COMMON));
}
