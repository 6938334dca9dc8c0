/** What `npm start` tells the page that it serves, and does for it. A deployed Tidemark has none of this. */
export interface StackInfo {
  people: Person[];
  /** One or more of each service. */
  urls: { api: string[]; realtime: string[]; readStatus: string[] };
  faults: Fault[];
}

/** Somebody of the database, by the name that a token has. */
export interface Person {
  user: string;
  name: string;
}

export type Fault = 'flush-redis' | 'kill-gateway';

/** Totals since the parts of the system began; null where one cannot be asked. */
export interface Figures {
  redisCommands: number | null;
  rowsWritten: number | null;
  sends: number | null;
  deliveries: number | null;
  connections: number | null;
  dirty: number | null;
  flushed: number | null;
  flushLagS: number | null;
  logEpoch: string | null;
  cacheEpoch: number | null;
}

export interface ShownCount {
  channelId: string;
  threadSeq: number | null;
  cursor: number;
}

export interface Recounted {
  unread: number;
  mentions: number;
}

export const loadStack = () => ask<StackInfo>('/stack');
export const loadFigures = () => ask<Figures>('/stack/figures');
export const cause = (fault: Fault) => ask<object>('/stack/fault', { fault });
export const tokenFor = async (user: string) =>
  (await ask<{ token: string }>('/stack/token', { user })).token;
/** Counted from the messages table, above the cursors that are shown. */
export const recount = (userId: string, counts: ShownCount[]) =>
  ask<Recounted[]>('/stack/recount', { userId, counts });

async function ask<Answer>(path: string, body?: object): Promise<Answer> {
  const answer = await fetch(path, {
    ...(body && {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'content-type': 'application/json' },
    }),
  });
  const said = (await answer.json().catch(() => ({}))) as Answer & { error?: string };
  if (!answer.ok) throw new Error(said.error ?? `${path} answered ${answer.status}.`);
  return said;
}
