import type { TokenClaims } from '@tidemark/contracts';
import { Lru } from '../lru.js';
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
  /** The token's; a socket must be renewed or closed by then. */
  expiresAt: Date;
}

/** Where users are kept. Provide it under this class: `{ provide: IdentityStore, useExisting: UsersStore }`. */
export abstract class IdentityStore {
  /** The user with `externalId` = `claims.sub`, made from the claims or brought up to date with them. */
  abstract ensureUser(claims: TokenClaims): Promise<{ id: string }>;
}

/** The last moment a Date can hold; a token may claim to live longer. */
const LAST_DATE_MS = 8.64e15;

const KNOWN_USERS_MAX = 20_000;
/** After this a user is ensured again, so that a deleted or restored database is noticed. */
const KNOWN_USER_MS = 60_000;

/** From a token to an identity, for HTTP requests and sockets alike. */
export class Authenticator {
  private readonly known = new Lru<string, { id: Promise<string>; until: number }>(KNOWN_USERS_MAX);

  constructor(
    private readonly verifier: TokenVerifier,
    private readonly users: IdentityStore,
    private readonly now: () => number = () => performance.now(),
  ) {}

  /** Errors: those of TokenVerifier, and whatever the store throws. */
  async authenticate(token: unknown): Promise<Identity> {
    const claims = await this.verifier.verify(token);
    return {
      userId: await this.userIdOf(claims),
      externalId: claims.sub,
      name: claims.name,
      picture: claims.picture ?? null,
      isAdmin: claims.role === 'admin',
      expiresAt: new Date(Math.min(claims.exp * 1000, LAST_DATE_MS)),
    };
  }

  private userIdOf(claims: TokenClaims): Promise<string> {
    // The name and picture are part of the key: when they change, the user is ensured again.
    const key = JSON.stringify([claims.sub, claims.name, claims.picture]);
    const known = this.known.get(key);
    if (known !== undefined && known.until > this.now()) return known.id;
    // The promise is kept, not the id: a client's first ten requests, sent at once, make one statement.
    const id = this.users.ensureUser(claims).then((user) => user.id);
    this.known.set(key, { id, until: this.now() + KNOWN_USER_MS });
    id.catch(() => {
      if (this.known.get(key)?.id === id) this.known.delete(key);
    });
    return id;
  }
}
