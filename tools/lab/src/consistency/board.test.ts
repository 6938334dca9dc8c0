import { Board } from './board.js';

describe('the board', () => {
  it('tells who waits when all have done it, whether before or after', async () => {
    const board = new Board();
    board.note('read');
    const both = board.all('read', 2, 10_000);
    board.note('other');
    board.note('read');
    expect(await both).toBe(true);
    expect(await board.all('other', 1, 10_000)).toBe(true);
  });

  it('does not wait for ever', async () => {
    const board = new Board();
    board.note('read');
    expect(await board.all('read', 2, 5)).toBe(false);
  });
});
