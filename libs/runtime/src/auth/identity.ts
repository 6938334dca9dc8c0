import type { TokenClaims } from '@tidemark/contracts';
import { Lru } from '../lru.js';
import { unauthenticated } from './claims.js';
import type { ReadRevocations, Revocations } from './revocations.js';
import type { TokenVerifier } from './token-verifier.js';

/** Who makes a request or holds a socket. */
export interface Identity {
  /** Our id, a decimal string. */
  userId: string;
  /** The `sub` of the token. */
  externalId: string;
  name: string;
  picture: string | null;
  isAdmin: boolean;
  /** 1970 where the token does not say: then any revocation covers it. */
  issuedAt: Date;
  /** The token's; a socket must be renewed or closed by then. */
  expiresAt: Date;
}

export interface KnownUser {
  id: string;
  /** Tokens issued before it are refused; null where none was ever revoked. */
  tokensValidFrom: Date | null;
}

/** Where users are kept. Provide it under this class: `{ provide: IdentityStore, useExisting: UsersStore }`. */
export abstract class IdentityStore {
  /** The user with `externalId` = `claims.sub`, made from the claims or brought up to date with them. */
  abstract ensureUser(claims: TokenClaims): Promise<KnownUser>;

  /** Whose tokens were revoked within the last `withinMs`. */
  abstract revokedWithin: ReadRevocations;
}

/** The last moment a Date can hold; a token may claim to live longer. */
const LAST_DATE_MS = 8.64e15;

const KNOWN_USERS_MAX = 20_000;
/** After this a user is ensured again, so that a deleted or restored database is noticed. */
const KNOWN_USER_MS = 60_000;

/** From a token to an identity, for HTTP requests and sockets alike. */
export class Authenticator {
  private readonly known = new Lru<string, { user: Promise<KnownUser>; until: number }>(KNOWN_USERS_MAX);

  constructor(
    private readonly verifier: TokenVerifier,
    private readonly users: Pick<IdentityStore, 'ensureUser'>,
    private readonly revocations: Pick<Revocations, 'covers'>,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Errors: those of TokenVerifier, `unauthenticated` for a token that was revoked, and whatever the store throws. */
  async authenticate(token: unknown): Promise<Identity> {
    const claims = await this.verifier.verify(token);
    const { id: userId, tokensValidFrom } = await this.userOf(claims);
    const issuedAt = dateOf(claims.iat ?? 0);
    if ((tokensValidFrom && issuedAt < tokensValidFrom) || this.revocations.covers({ userId, issuedAt })) {
      throw unauthenticated('The token was revoked.');
    }
    return {
      userId,
      externalId: claims.sub,
      name: claims.name,
      picture: claims.picture ?? null,
      isAdmin: claims.role === 'admin',
      issuedAt,
      expiresAt: dateOf(claims.exp),
    };
  }

  private userOf(claims: TokenClaims): Promise<KnownUser> {
    // The name and picture are part of the key: when they change, the user is ensured again.
    const key = JSON.stringify([claims.sub, claims.name, claims.picture]);
    const known = this.known.get(key);
    if (known !== undefined && known.until > this.now()) return known.user;
    // The promise is kept, not the user: a client's first ten requests, sent at once, make one statement.
    const user = this.users.ensureUser(claims);
    this.known.set(key, { user, until: this.now() + KNOWN_USER_MS });
    user.catch(() => {
      if (this.known.get(key)?.user === user) this.known.delete(key);
    });
    return user;
  }
}

function dateOf(seconds: number): Date {
  return new Date(Math.min(Math.max(seconds * 1000, 0), LAST_DATE_MS));
}
