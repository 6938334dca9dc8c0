import type { Envelope, EventType } from '@tidemark/contracts';

/** What one client got that it should not have, and did not get that it should have. */
export interface DeliveryFaults {
  missing: number;
  duplicated: number;
  outOfOrder: number;
}

export interface ReceivedEvent {
  seq: number;
  type: EventType;
  /** performance.now() */
  atMs: number;
}

interface ChannelState {
  /** What must come next on this connection; null where any beginning is right. */
  next: number | null;
  /** Everything up to it has arrived, or need not: what `resume` says. */
  have: number;
  member: boolean;
  /** Nothing of the channel has come on this connection yet. */
  first: boolean;
  /** Skipped on this connection; what comes after all is out of order. */
  gaps: Set<number>;
  received: ReceivedEvent[];
}

const NOTES_MAX = 20;

/**
 * Follows one client's events: on one connection every seq of a channel in order, once, without a gap, from where
 * it joined, resumed or found the head. What the server plainly said to fetch anew is no gap.
 */
export class Delivery {
  private readonly channels = new Map<string, ChannelState>();
  /** The first few faults in words. */
  readonly notes: string[] = [];
  readonly faults: DeliveryFaults = { missing: 0, duplicated: 0, outOfOrder: 0 };
  refetches = 0;
  /** How often this person was seen to leave. */
  departures = 0;
  logEpoch: string | null = null;
  private ready = false;

  constructor(
    private readonly userId: string,
    private readonly label: string,
  ) {}

  /** What a connection that resumes says it has; null before the first. */
  resume(): { logEpoch: string; channels: Record<string, number> } | null {
    if (this.logEpoch === null) return null;
    const members = [...this.channels].filter(([, { member }]) => member);
    return {
      logEpoch: this.logEpoch,
      channels: Object.fromEntries(members.map(([channelId, { have }]) => [channelId, have])),
    };
  }

  /** A connection begins. One that does not resume starts at the heads that `ready` names. */
  connecting(resumes: boolean): void {
    this.ready = false;
    for (const state of this.channels.values()) {
      state.next = resumes && state.member ? state.have + 1 : null;
      state.first = true;
      state.gaps.clear();
    }
  }

  /** The connection is over. What it skipped and did not bring later, it lost. */
  disconnected(): void {
    for (const [channelId, { gaps }] of this.channels) {
      if (gaps.size > 0)
        this.fault('missing', gaps.size, `channel ${channelId} lost ${[...gaps].join(', ')}`);
      gaps.clear();
    }
  }

  onReady({
    logEpoch,
    heads,
    refetch = [],
  }: {
    logEpoch: string;
    heads: Record<string, number>;
    refetch?: string[];
  }): void {
    this.logEpoch = logEpoch;
    this.ready = true;
    for (const [channelId, head] of Object.entries(heads)) {
      const state = this.stateOf(channelId);
      state.member = true;
      if (state.next === null || refetch.includes(channelId)) {
        state.next = head + 1;
        state.have = head;
      } else if (state.next <= head) {
        // All of it was to arrive before `ready`.
        this.skip(channelId, state, head + 1);
      }
    }
    this.refetches += refetch.length;
    // Left while away.
    for (const [channelId, state] of this.channels) if (!(channelId in heads)) this.leave(state);
  }

  onRefetch(channelIds: readonly string[]): void {
    for (const channelId of channelIds) this.stateOf(channelId).next = null;
    this.refetches += channelIds.length;
  }

  /** Whether the event is one to rely on: in its place, and live rather than caught up. */
  onEvent(envelope: Envelope): boolean {
    const { channelId, seq, type, payload } = envelope;
    const state = this.stateOf(channelId);
    state.received.push({ seq, type, atMs: performance.now() });
    const joins = type === 'member.joined' && payload.userIds.includes(this.userId);
    if (joins && seq > state.have) {
      // A membership begins with the event that says so, wherever that is. Who was away may have left and come
      // again meanwhile, and hears of that from here on; who was not must have heard of their leaving.
      if (state.next !== null && seq > state.next && !state.first) this.skip(channelId, state, seq);
      state.member = true;
      state.next = seq;
    }
    state.first = false;
    if (!state.member && this.ready) {
      this.fault('outOfOrder', 1, `channel ${channelId}: ${seq} after leaving`);
      return false;
    }
    state.next ??= seq;
    if (seq < state.next) {
      if (state.gaps.delete(seq))
        this.fault('outOfOrder', 1, `channel ${channelId}: ${seq} after ${state.next - 1}`);
      else this.fault('duplicated', 1, `channel ${channelId}: ${seq} again, after ${state.next - 1}`);
      return false;
    }
    if (seq > state.next) this.skip(channelId, state, seq);
    state.next = seq + 1;
    if (state.gaps.size === 0) state.have = seq;
    if (type === 'member.left' && payload.userIds.includes(this.userId)) this.leave(state);
    return this.ready;
  }

  /** The highest seq that the client has of a channel without a gap below; 0 where it is not in. */
  seen(channelId: string): number {
    const state = this.channels.get(channelId);
    return state?.member ? state.have : 0;
  }

  memberOf(): string[] {
    return [...this.channels].filter(([, { member }]) => member).map(([channelId]) => channelId);
  }

  received(): [channelId: string, events: readonly ReceivedEvent[]][] {
    return [...this.channels].map(([channelId, { received }]) => [channelId, received]);
  }

  /** At the end, everything up to the heads must have come. */
  finish(heads: ReadonlyMap<string, number>): void {
    for (const [channelId, state] of this.channels) {
      const head = heads.get(channelId) ?? 0;
      if (state.member && state.next !== null && state.next <= head) this.skip(channelId, state, head + 1);
    }
    this.disconnected();
  }

  private skip(channelId: string, state: ChannelState, to: number): void {
    const from = state.next ?? to;
    for (let seq = from; seq < to; seq++) state.gaps.add(seq);
    this.note(`channel ${channelId}: ${from} to ${to - 1} did not come in their place`);
    state.next = to;
  }

  private leave(state: ChannelState): void {
    if (state.member) this.departures += 1;
    state.member = false;
    state.next = null;
  }

  private fault(kind: keyof DeliveryFaults, times: number, what: string): void {
    this.faults[kind] += times;
    this.note(`${kind}: ${what}`);
  }

  private note(what: string): void {
    if (this.notes.length < NOTES_MAX) this.notes.push(`${this.label}: ${what}`);
  }

  private stateOf(channelId: string): ChannelState {
    let state = this.channels.get(channelId);
    if (!state) {
      state = { next: null, have: 0, member: false, first: true, gaps: new Set(), received: [] };
      this.channels.set(channelId, state);
    }
    return state;
  }
}
