/** Gives a JWT of the user, a new one each time the old one is about to end. */
export type GetToken = () => string | Promise<string>;

/** A token that has less than this, or than a fifth of its life, is replaced. */
const renewBeforeMs = 60_000;

/** The user's JWT: asked for once, kept until it is about to expire, renewed by one call however many want it. */
export class AccessToken {
  private token: string | null = null;
  private renewAtMs = 0;
  private renewing: Promise<string> | null = null;

  constructor(private readonly getToken: GetToken) {}

  get(): Promise<string> {
    return this.token !== null && Date.now() < this.renewAtMs ? Promise.resolve(this.token) : this.renew();
  }

  /** After a refusal of `refused`: a newer one, which somebody may have fetched already. */
  after(refused: string): Promise<string> {
    return this.token !== null && this.token !== refused ? this.get() : this.renew();
  }

  /** When the next one is due; Infinity where the token does not say when it expires. */
  get dueInMs(): number {
    return this.renewAtMs - Date.now();
  }

  renew(): Promise<string> {
    this.renewing ??= Promise.resolve()
      .then(() => this.getToken())
      .then((token) => {
        const now = Date.now();
        const lifeMs = expiryMs(token) - now;
        this.token = token;
        this.renewAtMs = now + lifeMs - Math.min(renewBeforeMs, lifeMs / 5);
        return token;
      })
      .finally(() => (this.renewing = null));
    return this.renewing;
  }
}

function expiryMs(jwt: string): number {
  try {
    const payload = atob(jwt.split('.')[1]!.replaceAll('-', '+').replaceAll('_', '/'));
    const { exp } = JSON.parse(payload) as { exp?: unknown };
    return typeof exp === 'number' ? exp * 1000 : Infinity;
  } catch {
    // Not ours to judge: the server will say what it thinks of it.
    return Infinity;
  }
}
