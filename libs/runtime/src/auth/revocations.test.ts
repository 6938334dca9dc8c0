import { Revocations, type Revocation } from './revocations.js';

describe('Revocations', () => {
  const validFrom = 1_800_000_000_000;
  const held = { userId: '7', issuedAt: new Date(validFrom - 1) };
  let nowMs: number;
  let asked: number[];
  let read: () => Promise<Revocation[]>;
  let revocations: Revocations;
  beforeEach(() => {
    nowMs = validFrom;
    asked = [];
    read = () => Promise.resolve([]);
    revocations = new Revocations(
      (withinMs) => {
        asked.push(withinMs);
        return read();
      },
      () => undefined,
      () => nowMs,
    );
  });

  it('cover what was issued before, of that user alone', async () => {
    expect(revocations.covers(held)).toBe(false);
    read = () => Promise.resolve([{ userId: '7', validFrom }]);
    await revocations.look();
    expect(revocations.covers(held)).toBe(true);
    expect(revocations.covers({ ...held, issuedAt: new Date(validFrom) })).toBe(false);
    expect(revocations.covers({ ...held, userId: '8' })).toBe(false);
  });

  it('are told of again at each look, to find who was just arriving', async () => {
    const told: string[] = [];
    revocations.onNoted(({ userId }) => told.push(userId));
    read = () => Promise.resolve([{ userId: '7', validFrom }]);
    await revocations.look();
    await revocations.look();
    expect(told).toEqual(['7', '7']);
  });

  it('are looked for back to the last look that succeeded, and a while before', async () => {
    await revocations.look();
    nowMs += 600_000;
    read = () => Promise.reject(new Error('away'));
    await revocations.look();
    nowMs += 600_000;
    read = () => Promise.resolve([]);
    await revocations.look();
    await revocations.look();
    expect(asked.map((withinMs) => withinMs - asked[0]!)).toEqual([0, 600_000, 1_200_000, 0]);
  });

  it('are forgotten once every process must have read them anew', async () => {
    revocations.note({ userId: '7', validFrom });
    nowMs += 61_000;
    await revocations.look();
    expect(revocations.covers(held)).toBe(true);
    nowMs += 60_000;
    await revocations.look();
    expect(revocations.covers(held)).toBe(false);
  });
});
