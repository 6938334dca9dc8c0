import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '@tidemark/engines';
import type { Strategy } from '@tidemark/testing';
import { inOrder } from './arguments.js';
import { complexityOf, linesOfCode } from './complexity.js';

describe('the complexity of a strategy', () => {
  const of = Object.fromEntries(inOrder.map((strategy) => [strategy, complexityOf(strategy)]));

  it('is counted in files that are there, its own among them', () => {
    for (const strategy of inOrder) {
      const { files, lines } = of[strategy]!;
      expect(files).toContain(`apps/read-status-service/src/strategies/${strategy}.strategy.ts`);
      expect(files.filter((file) => !existsSync(join(projectFolder(), file)))).toEqual([]);
      expect(lines).toBeGreaterThan(files.length);
    }
  });

  it('has the scripts that a strategy needs, and not those of another', () => {
    expect(of['write-behind']!.scripts).toEqual(expect.arrayContaining(['increment-counters', 'read-dirty']));
    expect(of['redis-only']!.scripts).toContain('increment-counters');
    expect(of['redis-only']!.scripts).not.toContain('read-dirty');
    expect(of['sync-db']!.scripts).toContain('forget-counters');
    expect(of['watermark']!.scripts).toEqual(expect.arrayContaining(['count-unread', 'settle-dirty']));
    expect(of['watermark']!.scripts).not.toContain('increment-counters');
  });

  it('has the keys that it holds, and none that only its scripts name', () => {
    const everyone = ['epoch', 'channel', 'marks', 'cursors', 'loading'];
    const counters = ['counters', 'stream', 'streamLease', 'countedUnder'];
    const keys = (strategy: Strategy) => [...of[strategy]!.keys].sort();
    expect(keys('sync-db')).toEqual([...everyone, ...counters].sort());
    expect(keys('redis-only')).toEqual([...everyone, ...counters].sort());
    expect(keys('write-behind')).toEqual([...everyone, ...counters, 'dirty'].sort());
    expect(keys('watermark')).toEqual([...everyone, 'dirty'].sort());
  });

  it('counts code alone', () => {
    const code = ['/** Why. */', "import a from 'a'; // and how", '', '  // a note', '  a(', '  );'];
    expect(linesOfCode(code.join('\n'), '//')).toBe(3);
    expect(linesOfCode('--[[\n  What it does.\n]]\nlocal a = 1 -- one\n-- a note\n\nreturn a\n', '--')).toBe(
      2,
    );
  });
});
