import type { OnApplicationBootstrap, OnApplicationShutdown } from '@nestjs/common';
import type { Identity } from './identity.js';

/** A user's tokens that were issued before `validFrom` (ms since 1970) are refused. */
export interface Revocation {
  userId: string;
  validFrom: number;
}

/** Where revocations are kept; any that is at most `withinMs` old, so that one is not missed by an outage or a race. */
export type ReadRevocations = (withinMs: number) => Promise<Revocation[]>;

/** Between two looks. With the time of one statement, how long a revoked token may still be taken elsewhere. */
const LOOK_MS = 2_000;
/** How long one is remembered: longer than Authenticator keeps what it read of a user, and than any handshake takes. */
const REMEMBERED_MS = 90_000;

/**
 * The revocations of late, of all users. Every process looks for them again and again, so that none has to be told;
 * a gateway is told as well, through Redis, so that sockets close at once.
 */
export class Revocations implements OnApplicationBootstrap, OnApplicationShutdown {
  private readonly recent = new Map<string, { validFrom: number; until: number }>();
  private readonly listeners: ((revocation: Revocation) => void)[] = [];
  private timer: NodeJS.Timeout | undefined;
  private lookedAt: number;
  private looking: Promise<void> | null = null;

  constructor(
    private readonly read: ReadRevocations,
    private readonly onError: (error: unknown) => void,
    private readonly now: () => number = () => performance.now(),
  ) {
    this.lookedAt = now();
  }

  onApplicationBootstrap(): void {
    this.timer = setInterval(() => void this.look(), LOOK_MS).unref();
  }

  onApplicationShutdown(): void {
    clearInterval(this.timer);
  }

  /** Whether such a token is refused, as far as this process knows. */
  covers({ userId, issuedAt }: Pick<Identity, 'userId' | 'issuedAt'>): boolean {
    const revocation = this.recent.get(userId);
    return revocation !== undefined && issuedAt.getTime() < revocation.validFrom;
  }

  /** Each time one is noticed, and again at every look while it is remembered: who was just arriving is found then. */
  onNoted(listener: (revocation: Revocation) => void): void {
    this.listeners.push(listener);
  }

  note(revocation: Revocation): void {
    const { userId, validFrom } = revocation;
    const known = this.recent.get(userId);
    if (known && known.validFrom > validFrom) return;
    this.recent.set(userId, { validFrom, until: this.now() + REMEMBERED_MS });
    for (const listener of this.listeners) listener(revocation);
  }

  /** Reads what was revoked since the last look that succeeded, and a while before it. */
  look(): Promise<void> {
    this.looking ??= this.lookOnce()
      .catch(this.onError)
      .finally(() => (this.looking = null));
    return this.looking;
  }

  private async lookOnce(): Promise<void> {
    const at = this.now();
    const found = await this.read(at - this.lookedAt + REMEMBERED_MS);
    this.lookedAt = at;
    for (const revocation of found) this.note(revocation);
    for (const [userId, { until }] of this.recent) if (until <= at) this.recent.delete(userId);
  }
}
