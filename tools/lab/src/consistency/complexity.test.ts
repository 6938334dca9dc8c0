import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { complexityOf } from './complexity.js';

describe('complexityOf', () => {
  it('counts the code of a pattern: its files, and lines elsewhere; no comments, no tests', () => {
    const folder = mkdtempSync(join(tmpdir(), 'tidemark-lab-'));
    try {
      const put = (path: string, ...lines: string[]) => {
        mkdirSync(join(folder, path, '..'), { recursive: true });
        writeFileSync(join(folder, path), lines.join('\n'));
      };
      put('libs/database/src/replica.ts', '/** Why. */', 'export class Replica {', '', '  // why', '}');
      put('libs/database/src/replica.test.ts', 'const replica = takeOver();');
      put('apps/message-api/src/reads.ts', 'const age = ageMs();', 'const turn = takeOver();', '// takeOver');
      expect(complexityOf('default', folder)).toEqual({ lines: 3, settings: 2 });
      expect(complexityOf('B', folder)).toEqual({ lines: 1, settings: 3 });
      expect(complexityOf('A', folder)).toEqual({ lines: 0, settings: 2 });
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('finds what patterns of ours need in this very project', () => {
    const [byToken, cacheFirst] = (['default', 'C'] as const).map((name) => complexityOf(name).lines);
    expect(byToken).toBeGreaterThan(0);
    expect(cacheFirst).toBeGreaterThan(byToken!);
  });
});
