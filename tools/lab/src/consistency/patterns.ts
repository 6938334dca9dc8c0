export const patternNames = ['default', 'A', 'B', 'C', 'any-replica', 'before-commit'] as const;
export type PatternName = (typeof patternNames)[number];

/** A way to tell clients of a message and to serve what they read then. */
export interface Pattern {
  name: PatternName;
  /** In a few words, for the tables. */
  about: string;
  env: { DELIVERY_PATTERN: string; READ_ROUTING: string };
  /** Whether a read carries the token of the alert that it follows. */
  sendsTokens: boolean;
  /** Before its commit no service of ours publishes anything: for that the lab brings a publisher of its own. */
  publishes: 'after-commit' | 'before-commit';
  /** Nothing wrong may be seen of it. */
  mustHold?: true;
  /** What must be seen of it, always or where the replica lags: else the lab is blind. */
  mustShow?: readonly { what: 'ghosts' | 'stale'; underLag: boolean }[];
}

const full = { DELIVERY_PATTERN: 'full-payload', READ_ROUTING: 'token' };

export const patterns: Readonly<Record<PatternName, Pattern>> = {
  default: {
    name: 'default',
    about: 'full payload and token',
    env: full,
    sendsTokens: true,
    publishes: 'after-commit',
    mustHold: true,
  },
  A: {
    name: 'A',
    about: 'full payload, any replica',
    env: { DELIVERY_PATTERN: 'full-payload', READ_ROUTING: 'replica' },
    sendsTokens: false,
    publishes: 'after-commit',
    mustShow: [{ what: 'stale', underLag: true }],
  },
  B: {
    name: 'B',
    about: 'id only, recent from primary',
    env: { DELIVERY_PATTERN: 'id-only', READ_ROUTING: 'recent-to-primary' },
    sendsTokens: false,
    publishes: 'after-commit',
  },
  C: {
    name: 'C',
    about: 'cache first',
    env: { DELIVERY_PATTERN: 'cache-first', READ_ROUTING: 'token' },
    sendsTokens: true,
    publishes: 'after-commit',
    mustHold: true,
  },
  'any-replica': {
    name: 'any-replica',
    about: 'wrong: id only, any replica',
    env: { DELIVERY_PATTERN: 'id-only', READ_ROUTING: 'replica' },
    sendsTokens: false,
    publishes: 'after-commit',
    mustShow: [
      { what: 'ghosts', underLag: true },
      { what: 'stale', underLag: true },
    ],
  },
  'before-commit': {
    name: 'before-commit',
    about: 'wrong: published before COMMIT',
    env: full,
    sendsTokens: true,
    publishes: 'before-commit',
    mustShow: [{ what: 'ghosts', underLag: false }],
  },
};
