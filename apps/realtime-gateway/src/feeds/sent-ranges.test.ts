import fc from 'fast-check';
import { range } from '../test-support/scene.js';
import { SentRanges } from './sent-ranges.js';

describe('SentRanges', () => {
  const stretch = fc
    .tuple(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 12 }))
    .map(([from, more]) => ({ from, to: from + more }));

  it('knows exactly what has not been sent', () => {
    fc.assert(
      fc.property(fc.array(stretch), stretch, (added, asked) => {
        const sent = new SentRanges();
        const seqs = new Set<number>();
        for (const { from, to } of added) {
          sent.add(from, to);
          for (const seq of range(from, to)) seqs.add(seq);
        }
        const missing = sent.missing(asked.from, asked.to).flatMap(({ from, to }) => range(from, to));
        expect(missing).toEqual(range(asked.from, asked.to).filter((seq) => !seqs.has(seq)));
      }),
    );
  });

  it('says it in as few stretches as there are gaps', () => {
    const sent = new SentRanges();
    sent.add(1, 3);
    sent.add(4, 6);
    sent.add(10, 10);
    sent.add(8, 7);
    expect(sent.missing(1, 12)).toEqual([
      { from: 7, to: 9 },
      { from: 11, to: 12 },
    ]);
  });
});
