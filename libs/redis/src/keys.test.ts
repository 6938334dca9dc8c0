import { Keys } from './keys.js';

describe('the shard of an id', () => {
  it.each([
    '0',
    '15',
    '3000016',
    '999999999999999',
    '1000000000000000',
    '9007199254740993',
    '9223372036854775807',
  ])('is what is left of %s, exactly', (id) => {
    expect(new Keys(16).userShard(id)).toBe(Number(BigInt(id) % 16n));
  });
});
