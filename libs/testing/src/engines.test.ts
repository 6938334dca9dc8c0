import { useDatabase } from './use-database.js';
import { useRedis } from './use-redis.js';

describe('the engines of a test file', () => {
  const database = useDatabase();
  const redis = useRedis();

  const write = async () => {
    await database.query(`INSERT INTO users (external_id, name) VALUES ('ada', 'Ada')`);
    await redis.client.set('a', '1');
  };
  const count = async () => ({
    users: (await database.query('SELECT FROM users')).length,
    keys: await redis.client.dbsize(),
  });

  it.each(['first', 'second'])('are migrated and empty before the %s test', async () => {
    expect(await count()).toEqual({ users: 0, keys: 0 });
    await write();
    expect(await count()).toEqual({ users: 1, keys: 1 });
  });

  it('serve pools as the services have them', async () => {
    const pools = await database.open();
    expect((await pools.query('SELECT 6 * 7 AS answer')).rows).toEqual([{ answer: 42 }]);
  });
});
