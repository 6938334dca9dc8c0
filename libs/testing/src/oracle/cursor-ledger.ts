import type { LogReplay } from './log-replay.js';

/** (term, cursor) is the only version of a membership: compared in this order. */
export interface Version {
  term: number;
  cursor: number;
}

export interface Membership {
  userId: string;
  channelId: string;
}

/** What may stand in the system for one member, by what the test saw acknowledged. */
export interface ExpectedCursor extends Membership {
  member: boolean;
  /** The highest acknowledged. Below it, an acknowledgement is lost. */
  acknowledged: Version;
  /** Below `acknowledged` only after a loss: down to here it may have fallen (DESIGN section 9). */
  floor: Version;
  /** Reports whose answer never came: each may have taken effect or not. */
  unanswered: readonly Version[];
}

interface Entry extends Membership {
  member: boolean;
  acknowledged: Version;
  /** Committed in PostgreSQL before it was answered: no loss of Redis excuses its loss. */
  durable: Version;
  floor: Version | null;
  unanswered: Set<Version>;
  sends: { term: number; seq: number; readTo: number }[];
}

/**
 * The second half of the oracle: the highest (term, cursor) a member was told of, from what the *test itself* saw
 * acknowledged and from nothing else.
 */
export class CursorLedger {
  private readonly entries = new Map<string, Entry>();
  private readonly events = { acknowledged: 0 };

  /** How many acknowledgements were noted. */
  get acknowledgements(): number {
    return this.events.acknowledged;
  }

  /**
   * The term that a join will begin. Ask before the join is sent: its first reads may be acknowledged earlier
   * than the join itself.
   */
  termOfJoin(member: Membership): number {
    return (this.versionOf(member)?.term ?? 0) + 1;
  }

  /** Who joins has read up to the join, in a new term. Returns that version. */
  joined(member: Membership, seq: number, term = this.termOfJoin(member)): Version {
    const entry = this.entryOf(member);
    entry.member = true;
    return this.raise(entry, { term, cursor: seq }, true);
  }

  left(member: Membership): void {
    this.entryOf(member).member = false;
  }

  /** A read report was answered with where the cursor stands. */
  read(member: Membership, acknowledged: Version): void {
    this.raise(this.entryOf(member), acknowledged, false);
  }

  /** A mark-unread was answered. */
  markedUnread(member: Membership, acknowledged: Version): void {
    this.raise(this.entryOf(member), acknowledged, true);
  }

  /**
   * A send with `readTo` was answered with its seq. Where it left the cursor the answer does not say: `expected`
   * works it out from the log.
   */
  sent(member: Membership, send: { seq: number; readTo: number }): void {
    const entry = this.entryOf(member);
    entry.sends.push({ ...send, term: entry.acknowledged.term });
    this.events.acknowledged += 1;
  }

  /**
   * A report is on its way. Call the result when its answer is there, refusals included; while it has not been,
   * the report may have taken effect or not.
   */
  attempt(member: Membership, version: Partial<Version> & { cursor: number }): () => void {
    const entry = this.entryOf(member);
    const attempted = { term: version.term ?? entry.acknowledged.term, cursor: version.cursor };
    entry.unanswered.add(attempted);
    return () => entry.unanswered.delete(attempted);
  }

  /** The highest acknowledged so far; null for who never joined. */
  versionOf(member: Membership): Version | null {
    return this.entries.get(keyOf(member))?.acknowledged ?? null;
  }

  isMember(member: Membership): boolean {
    return this.entries.get(keyOf(member))?.member ?? false;
  }

  /**
   * Redis has lost what it held, under READ_ACK=cache: whatever was not flushed may be gone. Call it after
   * Redis died and before it is back, when no acknowledgement can be on its way.
   *
   * @param flushed what channel_members held at that time
   */
  afterLoss(flushed: Iterable<Membership & Version>): void {
    for (const { userId, channelId, term, cursor } of flushed) {
      const entry = this.entries.get(keyOf({ userId, channelId }));
      if (!entry) continue;
      const kept = highest(entry.durable, { term, cursor });
      // A second loss lowers nothing that was flushed after the first.
      entry.floor = isBelow(kept, entry.acknowledged) ? kept : null;
    }
  }

  /** @param replays by channel, for sends with `readTo`; may be left out if there were none */
  expected(replays: ReadonlyMap<string, LogReplay> = new Map()): ExpectedCursor[] {
    return [...this.entries.values()].map((entry) => {
      const { userId, channelId, member } = entry;
      let { acknowledged, durable } = entry;
      const unanswered = [...entry.unanswered];
      for (const { term, seq, readTo } of entry.sends) {
        const replay = replays.get(channelId);
        if (!replay) throw new Error(`A send with readTo needs the log of channel ${channelId}`);
        const alone = !replay.othersBetween(userId, readTo, seq);
        const moved = { term, cursor: alone ? seq : readTo };
        acknowledged = highest(acknowledged, moved);
        durable = highest(durable, moved);
        // The cursor may have stood above readTo already, with nothing of others' between it and the send.
        if (!alone && !replay.othersBetween(userId, entry.acknowledged.cursor, seq)) {
          unanswered.push({ term, cursor: seq });
        }
      }
      const floor = entry.floor === null ? acknowledged : highest(entry.floor, durable);
      return {
        ...{ userId, channelId, member, acknowledged, floor },
        unanswered: unanswered.filter((version) => isBelow(acknowledged, version)),
      };
    });
  }

  private raise(entry: Entry, version: Version, durable: boolean): Version {
    const { term, cursor } = version;
    entry.acknowledged = highest(entry.acknowledged, { term, cursor });
    if (durable) entry.durable = highest(entry.durable, { term, cursor });
    // What is acknowledged after a loss is not excused by it.
    if (entry.floor) {
      entry.floor = highest(entry.floor, { term, cursor });
      if (!isBelow(entry.floor, entry.acknowledged)) entry.floor = null;
    }
    this.events.acknowledged += 1;
    return { term, cursor };
  }

  private entryOf(member: Membership): Entry {
    const key = keyOf(member);
    let entry = this.entries.get(key);
    if (!entry) {
      const none = { term: 0, cursor: 0 };
      const { userId, channelId } = member;
      entry = {
        ...{ userId, channelId, member: false, acknowledged: none, durable: none, floor: null },
        unanswered: new Set(),
        sends: [],
      };
      this.entries.set(key, entry);
    }
    return entry;
  }
}

export function isBelow(a: Version, b: Version): boolean {
  return a.term !== b.term ? a.term < b.term : a.cursor < b.cursor;
}

export function keyOf({ userId, channelId }: Membership): string {
  return `${userId}:${channelId}`;
}

function highest(a: Version, b: Version): Version {
  return isBelow(a, b) ? b : a;
}
