import { Inject, Injectable } from '@nestjs/common';
import { handshake, type Handshake } from '@tidemark/contracts';
import {
  Authenticator,
  Drain,
  invalidRequest,
  ProblemError,
  refuseUnsafe,
  type Identity,
} from '@tidemark/runtime';

import { LogHistory } from '../history/log-history.js';

export interface Admission {
  identity: Identity;
  passive: boolean;
  resume: Handshake['resume'];
}

/** Decides who may connect. Nest's guards do not stand before connections, so this does. */
@Injectable()
export class Handshakes {
  constructor(
    private readonly authenticator: Authenticator,
    private readonly history: LogHistory,
    @Inject(Drain) private readonly drain: Drain,
  ) {}

  /** Errors: ProblemError `unauthenticated`, `token-expired`, `invalid-request`, `unavailable`. */
  async admit(auth: unknown): Promise<Admission> {
    if (this.drain.draining) throw new ProblemError('unavailable', 'This instance is going away.');
    refuseUnsafe(auth);
    const parsed = handshake.safeParse(auth);
    if (!parsed.success) {
      // Who says nothing of themselves is told so, rather than that a field is missing.
      if (parsed.error.issues.every(({ path }) => path[0] === 'token')) {
        throw new ProblemError('unauthenticated', 'This needs a token.');
      }
      throw invalidRequest(parsed.error);
    }
    const { token, passive, resume } = parsed.data;
    const identity = await this.authenticator.authenticate(token);
    // Without PostgreSQL a connection would begin only to end: better said here, with when to come again.
    await this.history.current();
    return { identity, passive, resume };
  }
}
