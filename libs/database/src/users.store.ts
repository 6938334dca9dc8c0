import type { CreateUsers, TokenClaims, UpdateMe } from '@tidemark/contracts';
import { IdentityStore, type Revocation } from '@tidemark/runtime';
import type { Query } from './connection.js';
import type { Database } from './database.js';

export interface UserRow {
  id: string;
  externalId: string;
  name: string;
  picture: string | null;
  kind: 'person' | 'bot';
}

/** A user as they alone see it. */
export interface MeRow extends UserRow {
  receipts: boolean;
}

/** With what concerns their tokens alone, and no client. */
type AuthenticatedUser = UserRow & { tokensValidFrom: Date | null };

const columns = `id, external_id AS "externalId", name, picture, kind`;
const REVOCATIONS_A_STATEMENT = 1_000;

/** A user is created from the claims of the first valid token, and follows the claims of later ones. */
export class UsersStore extends IdentityStore {
  /** @param onChanged is told whose profile is another now: after the commit, and not of who is new. */
  constructor(
    private readonly database: Database,
    private readonly onChanged: (userIds: readonly string[]) => void = () => undefined,
  ) {
    super();
  }

  async ensureUser(claims: Pick<TokenClaims, 'sub' | 'name' | 'picture'>): Promise<AuthenticatedUser> {
    const { sub } = claims;
    // Reads first: an upsert would write a row for every request.
    const found = await this.database.query<AuthenticatedUser>({
      name: 'user-by-external-id',
      text: `SELECT ${columns}, tokens_valid_from AS "tokensValidFrom" FROM users WHERE external_id = $1`,
      values: [sub],
    });
    const user = found.rows[0];
    // A token that says no name carries its sub for one: neither that nor a picture left out undoes what is known.
    const name = user && claims.name === sub ? user.name : claims.name;
    const picture = claims.picture ?? user?.picture ?? null;
    if (user && user.name === name && user.picture === picture) return user;
    const { rows } = await this.database.query<AuthenticatedUser>(
      `INSERT INTO users (external_id, name, picture) VALUES ($1, $2, $3)
       ON CONFLICT (external_id) DO UPDATE SET name = excluded.name, picture = excluded.picture
       RETURNING ${columns}, tokens_valid_from AS "tokensValidFrom"`,
      [sub, name, picture],
    );
    if (user) this.onChanged([user.id]);
    return rows[0]!;
  }

  /** Creates users or brings them up to date, by externalId; a picture left out stays. By externalId. */
  async upsert(users: CreateUsers['users']): Promise<Map<string, UserRow>> {
    const keepsPicture = users
      .filter(({ picture }) => picture === undefined)
      .map(({ externalId }) => externalId);
    const { changed, rows } = await this.database.transaction(async (client) => {
      // In one order, so that two of these at once wait for each other instead of deadlocking. What is as it should be
      // is not written; and a row that was inserted has no xmax.
      const written = await client.query<{ id: string; isNew: boolean }>(
        `INSERT INTO users AS u (external_id, name, picture, kind)
         SELECT "externalId", name, picture, kind
           FROM jsonb_to_recordset($1) AS entry("externalId" text, name text, picture text, kind text)
          ORDER BY "externalId"
         ON CONFLICT (external_id) DO UPDATE
            SET name = excluded.name, kind = excluded.kind,
                picture = CASE WHEN u.external_id = ANY($2::text[]) THEN u.picture ELSE excluded.picture END
          WHERE (u.name, u.kind) <> (excluded.name, excluded.kind)
             OR u.picture IS DISTINCT FROM excluded.picture AND u.external_id <> ALL($2::text[])
         RETURNING id, xmax = 0 AS "isNew"`,
        [JSON.stringify(users), keepsPicture],
      );
      const stored = await client.query<UserRow>(
        `SELECT ${columns} FROM users WHERE external_id = ANY($1::text[])`,
        [users.map(({ externalId }) => externalId)],
      );
      return { changed: written.rows.filter(({ isNew }) => !isNew), rows: stored.rows };
    });
    if (changed.length > 0) this.onChanged(changed.map(({ id }) => id));
    return new Map(rows.map((user) => [user.externalId, user]));
  }

  /**
   * Refuses every token issued to the user so far. `iat` is in whole seconds, so that those of the present second go
   * as well. null: no such user.
   */
  async revokeTokens(userId: string): Promise<Revocation | null> {
    const { rows } = await this.database.query<{ validFrom: Date }>(
      `UPDATE users
          SET tokens_valid_from = greatest(tokens_valid_from, date_trunc('second', clock_timestamp()) + interval '1 second')
        WHERE id = $1 RETURNING tokens_valid_from AS "validFrom"`,
      [userId],
    );
    return rows[0] ? { userId, validFrom: rows[0].validFrom.getTime() } : null;
  }

  override revokedWithin = async (withinMs: number): Promise<Revocation[]> => {
    const found: Revocation[] = [];
    for (let isMore = true; isMore;) {
      const last = found.at(-1);
      const { rows } = await this.database.query<{ id: string; validFrom: Date }>({
        name: 'users-revoked',
        text: `SELECT id, tokens_valid_from AS "validFrom" FROM users
                WHERE (tokens_valid_from, id) >
                      (coalesce($2::timestamptz, clock_timestamp() - $1 * interval '1 millisecond'), $3::bigint)
                ORDER BY tokens_valid_from, id LIMIT ${REVOCATIONS_A_STATEMENT}`,
        values: [withinMs, last ? new Date(last.validFrom) : null, last?.userId ?? '0'],
      });
      found.push(...rows.map(({ id, validFrom }) => ({ userId: id, validFrom: validFrom.getTime() })));
      isMore = rows.length === REVOCATIONS_A_STATEMENT;
    }
    return found;
  };

  /** Those of the ids that exist, by id. */
  async byIds(
    ids: readonly string[],
    query: Query = this.database.query.bind(this.database),
  ): Promise<Map<string, UserRow>> {
    const { rows } = await query<UserRow>(`SELECT ${columns} FROM users WHERE id = ANY($1::bigint[])`, [ids]);
    return new Map(rows.map((user) => [user.id, user]));
  }

  /** null: no such user. */
  async me(id: string): Promise<MeRow | null> {
    const { rows } = await this.database.query<MeRow>(
      `SELECT ${columns}, receipts FROM users WHERE id = $1`,
      [id],
    );
    return rows[0] ?? null;
  }

  /** null: no such user. */
  async updateMe(id: string, { receipts }: UpdateMe): Promise<MeRow | null> {
    const { rows } = await this.database.query<MeRow>(
      `UPDATE users SET receipts = $2 WHERE id = $1 RETURNING ${columns}, receipts`,
      [id, receipts],
    );
    return rows[0] ?? null;
  }
}
