import { startPostgres, type PostgresInstance } from './postgres.js';

describe('a PostgreSQL of our own', () => {
  let postgres: PostgresInstance;

  beforeAll(async () => {
    postgres = await startPostgres({ durable: false });
  }, 60_000);
  afterAll(() => postgres.remove());

  it('answers at its address', async () => {
    expect(await postgres.query('SELECT 6 * 7 AS answer')).toEqual([{ answer: 42 }]);
  });
});
