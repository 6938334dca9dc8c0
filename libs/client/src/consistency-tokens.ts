interface Held {
  token: string;
  /** When it came, by our own count. */
  at: number;
  /** Of the newest event. */
  seq: number;
}

/**
 * The newest consistency token of each channel, and of all. Who asks with it is answered from a state that includes
 * what this client has seen already, however far a replica lags.
 */
export class ConsistencyTokens {
  private readonly ofChannels = new Map<string, Held>();
  private newest: string | undefined;
  private clock = 0;

  for(channelId?: string): string | undefined {
    return (channelId === undefined ? undefined : this.ofChannels.get(channelId)?.token) ?? this.newest;
  }

  /** To be given back with the answer. */
  mark(): number {
    return this.clock;
  }

  noteEvent({ channelId, seq, token }: { channelId: string; seq: number; token: string }): void {
    this.newest = token;
    if (seq > (this.ofChannels.get(channelId)?.seq ?? 0)) this.hold(channelId, token, seq);
  }

  /** `askedAt`: an event that came after the question may be newer than the answer; what we wrote ourselves wins. */
  noteAnswer(token: string, channelIds: Iterable<string>, askedAt: number, wrote: boolean): void {
    this.newest = token;
    for (const channelId of channelIds) {
      const held = this.ofChannels.get(channelId);
      if (!held || held.at <= askedAt || wrote) this.hold(channelId, token, held?.seq ?? 0);
    }
  }

  /** Seqs of another history mean nothing. */
  forget(channelId: string): void {
    this.ofChannels.delete(channelId);
  }

  private hold(channelId: string, token: string, seq: number): void {
    this.ofChannels.set(channelId, { token, at: ++this.clock, seq });
  }
}
