import * as fc from 'fast-check';

/** Who is in a history; the first made the channel, one is not in it yet, the last is a bot. */
export const people = 4;
export const outsider = 2;

/** A place in the log as a fraction of the head at that moment, so that a shrunk history still makes sense. */
type Place = number;

/** One of the first messages, as the root of a thread; null: the channel itself. */
type Thread = number | null;

interface Naming {
  names: number[];
  everyone: boolean;
}

/** What somebody does. Data, so that a counter-example can be read. */
export type Deed =
  | ({ kind: 'send'; who: number; readTo: Place | null; thread: Thread } & Naming)
  | ({ kind: 'edit'; which: number } & Naming)
  | { kind: 'delete'; which: number }
  | { kind: 'notice'; who: number }
  | { kind: 'prune'; who: number; to: Place }
  | { kind: 'archive'; archived: boolean }
  | { kind: 'read'; who: number; to: Place; thread: Thread }
  | { kind: 'report'; who: number; to: Place; late: boolean }
  | { kind: 'read-all'; who: number }
  | { kind: 'mark-unread'; who: number; from: Place; thread: Thread }
  | { kind: 'leave'; who: number }
  | { kind: 'join'; who: number }
  | { kind: 'mute'; who: number; muted: boolean }
  | { kind: 'look'; who: number };

/** Rounds follow each other; the deeds of a round race, over several replicas. */
export type History = Deed[][];

const who = fc.integer({ min: 0, max: people - 1 });
const place = fc.integer({ min: 0, max: 20 }).map((n) => n / 20);
const names = fc.uniqueArray(who, { maxLength: 2 });
const everyone = fc.integer({ min: 0, max: 5 }).map((n) => n === 0);
const which = fc.nat({ max: 30 });
const thread = fc.option(fc.nat({ max: 2 }), { freq: 4 });
/** Few go into a thread. */
const rarelyThread = fc.integer({ min: 0, max: 17 }).map((n) => (n < 3 ? n : null));

const deed = <Kind extends Deed['kind']>(
  weight: number,
  kind: Kind,
  of: { [Name in Exclude<keyof Extract<Deed, { kind: Kind }>, 'kind'>]: fc.Arbitrary<unknown> },
) => ({
  weight,
  arbitrary: fc.record({ kind: fc.constant(kind), ...of }) as unknown as fc.Arbitrary<Deed>,
});

const anyDeed: fc.Arbitrary<Deed> = fc.oneof(
  deed(16, 'send', { who, names, everyone, readTo: fc.option(place, { freq: 2 }), thread: rarelyThread }),
  deed(4, 'edit', { which, names, everyone }),
  deed(4, 'delete', { which }),
  deed(2, 'notice', { who }),
  deed(3, 'prune', { who, to: place }),
  deed(1, 'archive', { archived: fc.constant(true) }),
  deed(2, 'archive', { archived: fc.constant(false) }),
  deed(8, 'read', { who, to: place, thread: rarelyThread }),
  deed(4, 'report', { who, to: place, late: fc.boolean() }),
  deed(2, 'read-all', { who }),
  deed(5, 'mark-unread', { who, from: place, thread }),
  deed(2, 'leave', { who }),
  deed(4, 'join', { who }),
  deed(2, 'mute', { who, muted: fc.boolean() }),
  deed(4, 'look', { who }),
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
  fc.array(anyDeed, { minLength: 1, maxLength: 6 }).map(apart),
  { minLength: 1, maxLength: 14 },
);
