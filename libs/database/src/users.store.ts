import type { TokenClaims } from '@tidemark/contracts';
import { IdentityStore } from '@tidemark/runtime';
import type { Database } from './database.js';

export interface UserRow {
  id: string;
  externalId: string;
  name: string;
  picture: string | null;
  kind: 'person' | 'bot';
}

const columns = `id, external_id AS "externalId", name, picture, kind`;

/** A user is created from the claims of the first valid token, and follows the claims of later ones. */
export class UsersStore extends IdentityStore {
  constructor(private readonly database: Database) {
    super();
  }

  async ensureUser({
    sub,
    name,
    picture = null,
  }: Pick<TokenClaims, 'sub' | 'name' | 'picture'>): Promise<UserRow> {
    // Reads first: an upsert would write a row for every request.
    const found = await this.database.query<UserRow>({
      name: 'user-by-external-id',
      text: `SELECT ${columns} FROM users WHERE external_id = $1`,
      values: [sub],
    });
    const user = found.rows[0];
    if (user && user.name === name && user.picture === picture) return user;
    const { rows } = await this.database.query<UserRow>(
      `INSERT INTO users (external_id, name, picture) VALUES ($1, $2, $3)
       ON CONFLICT (external_id) DO UPDATE SET name = excluded.name, picture = excluded.picture
       RETURNING ${columns}`,
      [sub, name, picture],
    );
    return rows[0]!;
  }

  /** Those of the ids that exist, by id. */
  async byIds(ids: readonly string[]): Promise<Map<string, UserRow>> {
    const { rows } = await this.database.query<UserRow>(
      `SELECT ${columns} FROM users WHERE id = ANY($1::bigint[])`,
      [ids],
    );
    return new Map(rows.map((user) => [user.id, user]));
  }
}
