import type { Alert, Pair } from './pair.js';

/** What PostgreSQL has at the end of a run, of the channels of that run. */
export interface Truth {
  /** Events that are about messages, by `<channel>:<seq>`. */
  events: ReadonlyMap<string, { messageSeq: number; isEdit: boolean; clientId: string | null }>;
}

export interface Judgement {
  pairs: number;
  /** Alerts of what is not in PostgreSQL. */
  rolledBack: number;
  /** Alerts of an id whose message the read at once did not find: there was nothing to display. */
  notShown: number;
  /** Alerts of either kind. */
  ghosts: number;
  /** Alerts after which a read lacked what they spoke of. */
  stale: number;
  /** Events that PostgreSQL has and a client was never told, one for each client. */
  missed: number;
  /** Alerts that a client got twice, or after a later one. */
  disordered: number;
  /** The first few, in words. */
  findings: string[];
}

const FINDINGS_MAX = 20;

/**
 * Holds what clients were told, and what they read then, against PostgreSQL.
 *
 * @param readersOf How many clients are in each channel, all of them connected before its first message.
 */
export function judge(
  pairs: readonly Pair[],
  truth: Truth,
  readersOf: ReadonlyMap<string, number>,
): Judgement {
  const judgement: Judgement = {
    ...{ pairs: pairs.length, rolledBack: 0, notShown: 0, ghosts: 0, stale: 0 },
    ...{ missed: 0, disordered: 0, findings: [] },
  };
  const find = (what: string) => {
    if (judgement.findings.length < FINDINGS_MAX) judgement.findings.push(what);
  };
  for (const { alert, fetch, refresh } of pairs) {
    const isRolledBack = !isThere(alert, truth);
    const isNotShown = alert.said === null && !fetch?.shows;
    const isStale = !refresh.shows || fetch?.shows === false;
    if (isRolledBack) judgement.rolledBack += 1;
    if (isNotShown) judgement.notShown += 1;
    if (isRolledBack || isNotShown) judgement.ghosts += 1;
    if (isStale) judgement.stale += 1;
    if (isRolledBack) find(`ghost: ${nameOf(alert)} is not in PostgreSQL`);
    else if (isNotShown) find(`ghost: ${nameOf(alert)} could not be displayed`);
    else if (isStale)
      find(`stale: ${nameOf(alert)} was not in what was read (${refresh.servedBy ?? 'nothing'})`);
  }
  countDeliveries(pairs, truth, readersOf, judgement, find);
  return judgement;
}

const nameOf = ({ channelId, seq, reader }: Alert): string =>
  `event ${seq} of channel ${channelId}, told to client ${reader},`;

function isThere(alert: Alert, { events }: Truth): boolean {
  const stored = events.get(`${alert.channelId}:${alert.seq}`);
  if (!stored || stored.messageSeq !== alert.messageSeq || stored.isEdit !== alert.isEdit) return false;
  // A number that was rolled back is given again: the same seq may be another message.
  return alert.said === null || alert.said.clientId === stored.clientId;
}

function countDeliveries(
  pairs: readonly Pair[],
  { events }: Truth,
  readersOf: ReadonlyMap<string, number>,
  judgement: Judgement,
  find: (what: string) => void,
): void {
  const told = new Map<string, number>();
  const lasts = new Map<string, number>();
  for (const { alert } of inOrderHeard(pairs)) {
    const lane = `${alert.reader}:${alert.channelId}`;
    if (alert.seq <= (lasts.get(lane) ?? 0)) {
      judgement.disordered += 1;
      find(`order: ${nameOf(alert)} came after ${lasts.get(lane)}`);
    } else lasts.set(lane, alert.seq);
    if (!isThere(alert, { events })) continue;
    const key = `${alert.channelId}:${alert.seq}`;
    told.set(key, (told.get(key) ?? 0) + 1);
  }
  for (const key of events.keys()) {
    const wanted = readersOf.get(key.slice(0, key.indexOf(':'))) ?? 0;
    const missing = Math.max(0, wanted - (told.get(key) ?? 0));
    judgement.missed += missing;
    if (missing > 0) find(`missed: ${missing} of ${wanted} clients were not told of ${key}`);
  }
}

const inOrderHeard = (pairs: readonly Pair[]): Pair[] =>
  [...pairs].sort((one, other) => one.alert.nth - other.alert.nth);
