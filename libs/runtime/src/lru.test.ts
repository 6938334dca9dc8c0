import { Lru } from './lru.js';

describe('Lru', () => {
  it('drops what was used longest ago, and no more than it must', () => {
    const lru = new Lru<string, number>(2);
    lru.set('a', 1);
    lru.set('b', 2);
    lru.get('a');
    lru.set('c', 3);
    expect([lru.get('a'), lru.get('b'), lru.get('c'), lru.size]).toEqual([1, undefined, 3, 2]);
    lru.set('a', 4);
    lru.delete('c');
    expect([lru.get('a'), lru.get('c'), lru.size]).toEqual([4, undefined, 1]);
  });
});
