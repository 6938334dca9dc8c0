import { Inject, Injectable } from '@nestjs/common';
import { Database } from '@tidemark/database';

/** A page of users, by key. */
export interface UserPage {
  /** Those of them who have read something lately. */
  recent: string[];
  /** The last one of the page; null where there is none. */
  last: string | null;
}

@Injectable()
export class RestoreStore {
  constructor(@Inject(Database) private readonly database: Database) {}

  /** @param readWithinS how long ago a user has last read anything, at the most */
  async page(after: string, limit: number, readWithinS: number): Promise<UserPage> {
    const { rows } = await this.database.query<{ id: string; isRecent: boolean }>({
      name: 'users-to-restore',
      text: `SELECT u.id, EXISTS (SELECT 1 FROM channel_members m WHERE m.user_id = u.id
                       AND m.last_read_at > now() - make_interval(secs => $3)) AS "isRecent"
               FROM (SELECT id FROM users WHERE id > $1 ORDER BY id LIMIT $2) u ORDER BY u.id`,
      values: [after, limit, readWithinS],
    });
    const ids = rows.map(({ id, isRecent }) => ({ id: String(id), isRecent }));
    return {
      recent: ids.filter(({ isRecent }) => isRecent).map(({ id }) => id),
      last: ids.at(-1)?.id ?? null,
    };
  }
}
