import { mentionsIn, piecesOf } from './mentions.js';

const people = [
  { id: '1', externalId: 'ada', name: 'Ada Lovelace' },
  { id: '2', externalId: 'u-22', name: 'Grace' },
];

describe('mentions', () => {
  it.each([
    ['hello @ada', ['1'], false],
    ['@Grace, and @GRACE again.', ['2'], false],
    ['@adalovelace', ['1'], false],
    ['@ada.', ['1'], false],
    ['@adam', [], false],
    ['@channel look', [], true],
    ['@here with @ada', ['1'], true],
    ['nobody', [], false],
    ['a lone @', [], false],
  ])('are found in %j', (text, mentions, mentionsAll) => {
    expect(mentionsIn(text, people)).toEqual({ mentions, mentionsAll });
  });

  it('stand apart in a text, of which nothing is lost', () => {
    const text = 'hey @ada, <b>@nobody</b> and @channel';
    const pieces = piecesOf(text, people);
    expect(pieces.map((piece) => piece.text).join('')).toBe(text);
    expect(pieces.filter(({ names }) => names).map((piece) => piece.text)).toEqual(['@ada', '@channel']);
    expect(piecesOf('', people)).toEqual([]);
  });
});
