import { createHash } from 'node:crypto';
import { startRedis } from '@tidemark/engines';
import type { Redis } from 'ioredis';
import type { DataStructuresOptions } from './arguments.js';
import { manyChannels, membershipsOf, type Membership } from './memberships.js';
import { storeAll, structures, type Structure } from './structures.js';

const ADVANCES = 1_000;
const READS = 20;
const DIRTY = 5_000;
/** As the flush and the reads of ours have it: Redis is not held for longer. */
const PER_CALL = 500;
const LINES_MAX = 5;

export interface StructureFigures {
  name: string;
  lacks: string;
  bytesEach: number;
  /** Of a user in 1,000 channels. */
  bytesEachOfMany: number;
  /** In Redis, of a call. */
  advanceUs: number;
  read1000Us: number;
  /** Of 1,000 dirty members. */
  scan1000Us: number;
}

/** All structures with the same memberships. Times are what Redis says that the calls took: medians of the rounds. */
export async function measureStructures(
  { users, rounds }: DataStructuresOptions,
  onProgress: (line: string) => void,
): Promise<{ figures: StructureFigures[]; memberships: number; wrong: string[]; redisVersion: string }> {
  const server = await startRedis({ temporary: true, onProgress });
  try {
    return await server.withClient(async (redis) => {
      const all = membershipsOf(users).flat();
      const many = manyChannels(users);
      const subjects = structures.map((structure) => new Subject(redis, structure, all, many));
      for (const subject of subjects) {
        onProgress(`${subject.structure.name}: storing ${all.length + many.length} memberships`);
        await subject.store();
      }
      for (let round = 1; round <= rounds; round++) {
        onProgress(`round ${round}`);
        for (const subject of subjects) await subject.round(round);
      }
      const wrong: string[] = [];
      for (const subject of subjects) wrong.push(...(await subject.check(rounds)));
      const figures = subjects.map((subject) => subject.figures());
      const redisVersion = /redis_version:(\S+)/.exec(await redis.info('server'))?.[1] ?? '?';
      return { figures, memberships: all.length, wrong, redisVersion };
    });
  } finally {
    await server.remove();
  }
}

class Subject {
  private readonly samples = { advance: [] as number[], read: [] as number[], scan: [] as number[] };
  private readonly bytes = { all: 0, many: 0 };

  constructor(
    private readonly redis: Redis,
    readonly structure: Structure,
    private readonly all: readonly Membership[],
    private readonly many: readonly Membership[],
  ) {}

  async store(): Promise<void> {
    for (const [name, memberships] of [
      ['all', this.all],
      ['many', this.many],
    ] as const) {
      const before = await this.keyBytes();
      await storeAll(this.redis, this.structure, memberships);
      this.bytes[name] = ((await this.keyBytes()) - before) / memberships.length;
    }
  }

  async round(round: number): Promise<void> {
    const { structure, all, many } = this;
    const advanced = every(all, ADVANCES);
    this.samples.advance.push(
      await this.timed(structure.advance, advanced.length, (i) => {
        const of = advanced[i]!;
        return {
          keys: [structure.key(of)],
          args: [of.channelId, of.userId, of.cursor + round, of.lastReadS],
        };
      }),
    );
    const parts = structure.readAll ? [many] : batches(many);
    const perPart = await this.timed(structure.readAll ?? structure.read, READS * parts.length, (i) =>
      structure.readAll
        ? { keys: [structure.key(many[0]!)], args: [] }
        : this.question(parts[i % parts.length]!),
    );
    this.samples.read.push(perPart * parts.length);
    const dirty = every(all, DIRTY);
    const calls = batches(dirty);
    const perCall = await this.timed(structure.read, calls.length, (i) => this.question(calls[i]!));
    this.samples.scan.push((perCall * calls.length * 1_000) / dirty.length);
  }

  /** Everything read again: what was advanced stands where it was advanced to, the rest where it stood. */
  async check(rounds: number): Promise<string[]> {
    const advanced = new Set(every(this.all, ADVANCES));
    const wrong: string[] = [];
    for (const some of batches([...this.all, ...this.many])) {
      const { keys, args } = this.question(some);
      const cursors = (await this.redis.eval(this.structure.read, keys.length, ...keys, ...args)) as number[];
      some.forEach((of, i) => {
        const expected = of.cursor + (advanced.has(of) ? rounds : 0);
        if (cursors[i] !== expected)
          wrong.push(`${this.structure.name}: ${cursors[i]} of user ${of.userId}, not ${expected}`);
      });
    }
    const { readAll } = this.structure;
    if (readAll) {
      const cursors = (await this.redis.eval(readAll, 1, this.structure.key(this.many[0]!))) as number[];
      const sum = (list: readonly number[]) => list.reduce((total, each) => total + each, 0);
      if (cursors.length !== this.many.length || sum(cursors) !== sum(this.many.map(({ cursor }) => cursor)))
        wrong.push(`${this.structure.name}: other cursors of a user in 1,000 channels`);
    }
    return wrong.slice(0, LINES_MAX);
  }

  figures(): StructureFigures {
    const { name, lacks } = this.structure;
    const { advance, read, scan } = this.samples;
    return {
      ...{ name, lacks, bytesEach: this.bytes.all, bytesEachOfMany: this.bytes.many },
      ...{ advanceUs: median(advance), read1000Us: median(read), scan1000Us: median(scan) },
    };
  }

  /** Microseconds of a call, as Redis counted them. */
  private async timed(
    lua: string,
    calls: number,
    call: (i: number) => { keys: string[]; args: (string | number)[] },
  ): Promise<number> {
    const sha = createHash('sha1').update(lua).digest('hex');
    await this.redis.script('LOAD', lua);
    await this.redis.config('RESETSTAT');
    for (let i = 0; i < calls; i++) {
      const { keys, args } = call(i);
      await this.redis.evalsha(sha, keys.length, ...keys, ...args);
    }
    const stats = await this.redis.info('commandstats');
    const usec = /^cmdstat_evalsha:calls=(\d+),usec=(\d+)/m.exec(stats);
    if (Number(usec?.[1]) !== calls) throw new Error(`${usec?.[1]} calls of ${calls}`);
    return Number(usec![2]) / calls;
  }

  private async keyBytes(): Promise<number> {
    const keys = new Set([...this.all, ...this.many].map(this.structure.key));
    const pipeline = this.redis.pipeline();
    for (const key of keys) pipeline.memory('USAGE', key, 'SAMPLES', 0);
    const bytes = (await pipeline.exec()) ?? [];
    return bytes.reduce((sum, [, each]) => sum + Number(each ?? 0), 0);
  }

  private question(memberships: readonly Membership[]) {
    return {
      keys: memberships.map(this.structure.key),
      args: memberships.flatMap(({ channelId, userId }) => [channelId, userId]),
    };
  }
}

const batches = <Item>(items: readonly Item[]): Item[][] =>
  Array.from({ length: Math.ceil(items.length / PER_CALL) }, (_, i) =>
    items.slice(i * PER_CALL, (i + 1) * PER_CALL),
  );

/** Evenly spread. */
function every<Item>(items: readonly Item[], count: number): Item[] {
  if (items.length <= count) return [...items];
  return Array.from({ length: count }, (_, i) => items[Math.floor((i * items.length) / count)]!);
}

function median(samples: readonly number[]): number {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}
