import * as fc from 'fast-check';

/** People in a history; the first made the channel. */
export const people = 4;

/** A place in the log as a fraction of the head at that moment, so that a shrunk history still makes sense. */
type Place = number;

/** What somebody does. Data, so that a counter-example can be read. */
export type Deed =
  | { kind: 'send'; who: number; names: number[]; everyone: boolean; readTo: Place | null; thread: boolean }
  | { kind: 'edit'; which: number; names: number[]; everyone: boolean }
  | { kind: 'delete'; which: number }
  | { kind: 'read'; who: number; to: Place; stale: boolean }
  | { kind: 'read-all'; who: number }
  | { kind: 'mark-unread'; who: number; from: Place }
  | { kind: 'leave'; who: number }
  | { kind: 'join'; who: number }
  | { kind: 'mute'; who: number }
  | { kind: 'look'; who: number };

/** Rounds follow each other; the deeds of a round race, over several replicas. */
export type History = Deed[][];

const who = fc.integer({ min: 0, max: people - 1 });
const place = fc.integer({ min: 0, max: 20 }).map((n) => n / 20);
const names = fc.uniqueArray(who, { maxLength: 2 });
const everyone = fc.integer({ min: 0, max: 5 }).map((n) => n === 0);
const which = fc.nat({ max: 30 });

const send = fc.record({
  kind: fc.constant('send' as const),
  ...{ who, names, everyone },
  readTo: fc.option(place, { freq: 2 }),
  thread: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});
const read = fc.record({ kind: fc.constant('read' as const), who, to: place, stale: fc.boolean() });
const look = fc.record({ kind: fc.constant('look' as const), who });

const deed: fc.Arbitrary<Deed> = fc.oneof(
  { weight: 8, arbitrary: send },
  { weight: 5, arbitrary: read },
  { weight: 2, arbitrary: look },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('edit' as const), which, names, everyone }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('delete' as const), which }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('mark-unread' as const), who, from: place }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('read-all' as const), who }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('leave' as const), who }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('join' as const), who }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('mute' as const), who }) },
);

/**
 * Who comes or goes does nothing else in that round, and whose term rises sends nothing that says readTo: the
 * test could not say what should come of it. Everything else races.
 */
function apart(round: Deed[]): Deed[] {
  const of = (kinds: Deed['kind'][]) =>
    new Map(round.flatMap((each) => ('who' in each && kinds.includes(each.kind) ? [[each.who, each]] : [])));
  const moving = of(['join', 'leave']);
  const raising = of(['mark-unread']);
  return round.filter((each) => {
    if (!('who' in each)) return true;
    if (moving.has(each.who)) return moving.get(each.who) === each;
    if (!raising.has(each.who)) return true;
    return each.kind !== 'send' || each.readTo === null;
  });
}

export const history: fc.Arbitrary<History> = fc.array(
  fc.array(deed, { minLength: 1, maxLength: 6 }).map(apart),
  { minLength: 1, maxLength: 14 },
);
