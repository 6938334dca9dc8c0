import type { EventType, Unread } from '@tidemark/contracts';
import type { Keys, RedisClient } from '@tidemark/redis';
import {
  compareAtRest,
  LogReplay,
  membersIn,
  showDifferences,
  type Difference,
  type Strategy,
} from '@tidemark/testing';
import type pg from 'pg';
import type { Crowd } from './crowd.js';
import type { RunState } from './run-state.js';

const NOTES_MAX = 30;

export interface Verdict {
  members: number;
  wrongCounts: number;
  lostAcknowledgements: number;
  allowedLosses: number;
  ghosts: number;
  missing: number;
  duplicated: number;
  outOfOrder: number;
  findings: string[];
}

/** Holds everything that was seen to PostgreSQL and to both halves of the oracle. The system must be at rest. */
export async function judge({
  ...run
}: {
  state: RunState;
  crowd: Crowd;
  /** What each send was answered with: `channelId:seq`, by clientId. */
  sent: ReadonlyMap<string, string>;
  database: pg.Pool;
  redis: RedisClient;
  keys: Keys;
  logEpoch: string;
  strategy: Strategy;
}): Promise<Verdict> {
  const { state, crowd, database, redis, keys, logEpoch, strategy } = run;
  const findings: string[] = [];
  const unread = (userId: string) => askUnread(state, crowd, userId);
  const { checked, differences } = await compareAtRest({
    ...{ database, redis, keys, logEpoch, strategy, ledger: state.ledger },
    askUnread: unread,
    askUsers: crowd.people.map(({ id }) => id),
  });
  const replays = new Map<string, LogReplay>();
  for (const channelId of crowd.channelIds)
    replays.set(channelId, await LogReplay.ofChannel(database, channelId));
  const all: Difference[] = [...differences, ...state.answers.check(replays)];
  const isLoss = ({ kind }: Difference) => kind === 'lost-acknowledgement';
  const wrong = all.filter((difference) => !isLoss(difference));
  const lost = all.filter((difference) => isLoss(difference) && !difference.allowed);
  const allowed = all.filter((difference) => isLoss(difference) && difference.allowed);
  if (wrong.length + lost.length > 0) findings.push(showDifferences([...lost, ...wrong]));
  if (allowed.length > 0) findings.push(showDifferences(allowed, 5));

  const events = await eventTypes(database, crowd.channelIds);
  const invented = receivedButUnknown(crowd, events);
  findings.push(...state.ghosts.slice(0, 20), ...invented.slice(0, 20));

  const heads = new Map([...events].map(([channelId, types]) => [channelId, types.length]));
  const notes: string[] = [];
  const faults = { missing: 0, duplicated: 0, outOfOrder: 0 };
  for (const { delivery } of crowd.devices) {
    delivery.finish(heads);
    faults.missing += delivery.faults.missing;
    faults.duplicated += delivery.faults.duplicated;
    faults.outOfOrder += delivery.faults.outOfOrder;
    notes.push(...delivery.notes.slice(0, 3));
  }
  findings.push(...notes.slice(0, NOTES_MAX));
  const unstored = await sentButNotStored(database, run.sent);
  findings.push(...unstored.slice(0, 20));
  return {
    members: checked,
    wrongCounts: membersIn(wrong, ...new Set(wrong.map(({ kind }) => kind))),
    lostAcknowledgements: membersIn(lost, 'lost-acknowledgement'),
    allowedLosses: membersIn(allowed, 'lost-acknowledgement'),
    ghosts: state.ghosts.length + invented.length,
    ...{ ...faults, missing: faults.missing + unstored.length },
    findings,
  };
}

async function askUnread({ api }: RunState, { people }: Crowd, userId: string): Promise<Unread> {
  const person = people.find(({ id }) => id === userId);
  if (!person) throw new Error(`Nobody has the id ${userId}`);
  const { body } = await api.ask<Unread>({
    ...{ service: 'read-status-service', method: 'GET', path: '/v1/unread', token: person.token() },
  });
  return body;
}

/** The types of every channel's events, at their seq - 1. */
async function eventTypes(
  database: pg.Pool,
  channelIds: readonly string[],
): Promise<Map<string, EventType[]>> {
  const types = new Map<string, EventType[]>(channelIds.map((channelId) => [channelId, []]));
  const { rows } = await database.query<{ channelId: string; type: EventType }>(
    `SELECT channel_id AS "channelId", type FROM channel_events WHERE channel_id = ANY($1::bigint[]) ORDER BY channel_id, seq`,
    [channelIds],
  );
  for (const { channelId, type } of rows) types.get(channelId)?.push(type);
  return types;
}

function receivedButUnknown({ devices }: Crowd, events: ReadonlyMap<string, readonly EventType[]>): string[] {
  return devices.flatMap(({ name, delivery }) =>
    delivery
      .received()
      .flatMap(([channelId, received]) =>
        received
          .filter(({ seq, type }) => events.get(channelId)?.[seq - 1] !== type)
          .map(({ seq, type }) => `${name}: channel ${channelId} has no ${type} at ${seq}`),
      ),
  );
}

/** Every send that was answered must be there, at the place it was answered with. */
async function sentButNotStored(database: pg.Pool, sent: ReadonlyMap<string, string>): Promise<string[]> {
  const { rows } = await database.query<{ clientId: string; place: string }>(
    `SELECT client_id AS "clientId", channel_id || ':' || seq AS place FROM messages`,
  );
  const stored = new Map(rows.map(({ clientId, place }) => [clientId, place]));
  return [...sent]
    .filter(([clientId, place]) => stored.get(clientId) !== place)
    .map(
      ([clientId, place]) => `send ${clientId} was answered with ${place}, and is at ${stored.get(clientId)}`,
    );
}
