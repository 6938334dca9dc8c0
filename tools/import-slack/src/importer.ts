import type { Database } from '@tidemark/database';
import type { Draft } from './export/drafts.js';
import type { Conversation, SlackExport } from './export/slack-export.js';
import { finish } from './finish.js';
import { ImportsStore, type PlacedDraft, type Progress } from './imports.store.js';
import { survey, type Tally } from './survey.js';

/** Messages a transaction. */
const usualBatchMax = 500;

export interface ImportEvents {
  /** How many messages of the export are read so far, before anything is written. */
  surveyed?: (messages: number) => void;
  /** What is written, in messages: of this conversation, and of all. */
  appended?: (conversation: Conversation, done: number, of: number) => void;
  finished?: (conversation: Conversation, how: 'imported' | 'already there') => void;
}

interface Comparison {
  conversation: Conversation;
  exported: Tally;
  stored: Tally;
}

export interface ImportReport {
  users: { exported: number; stored: number };
  comparisons: Comparison[];
  /** Messages, in this run. */
  imported: number;
  /** Members and follows of this run for whom the oracle counted that nothing is unread. */
  recounted: { members: number; follows: number };
}

/** Brings an export in, or what an earlier run has left of it. Repeated, it changes nothing. */
export async function importSlack(
  slack: SlackExport,
  database: Database,
  events: ImportEvents = {},
  batchMax = usualBatchMax,
): Promise<ImportReport> {
  const exported = await survey(slack, events.surveyed);
  const store = new ImportsStore(database);
  const userIds = await store.ensureUsers(slack.people.byId);
  const idOf = (slackId: string): string => userIds.get(slackId)!;

  const report: ImportReport = {
    users: { exported: slack.people.byId.size, stored: new Set(userIds.values()).size },
    ...{ comparisons: [], imported: 0, recounted: { members: 0, follows: 0 } },
  };
  for (const conversation of slack.conversations) {
    const { id, creatorId: creator, memberIds: members } = conversation;
    const memberIds = members.map(idOf);
    const creatorId = creator === null ? null : idOf(creator);
    let progress = await store.progress(id);
    if (progress?.finished) {
      events.finished?.(conversation, 'already there');
    } else {
      const begun = progress ?? (await store.begin(conversation, creatorId));
      const of = exported.get(conversation)!.messages;
      const said = (done: number) => events.appended?.(conversation, done, of);
      progress = await append(store, begun, slack.drafts(conversation), { idOf, said, batchMax });
      report.imported += progress.appended - begun.appended;
      const { visibility, archived } = conversation;
      const done = await finish(database, progress, { visibility, archived, memberIds, creatorId });
      report.recounted.members += done.members;
      report.recounted.follows += done.follows;
      events.finished?.(conversation, 'imported');
    }
    const stored = await store.tally(progress.channelId, memberIds);
    report.comparisons.push({ conversation, exported: exported.get(conversation)!, stored });
  }
  return report;
}

/** What differs between an export and PostgreSQL, in words; none if all is there. */
export function differences({ users, comparisons }: ImportReport): string[] {
  const found: string[] = [];
  if (users.exported !== users.stored)
    found.push(`${users.exported} users are ${users.stored} in PostgreSQL`);
  for (const { conversation, exported, stored } of comparisons) {
    for (const what of Object.keys(exported) as (keyof Tally)[]) {
      const [wanted, there] = [exported[what], stored[what]];
      // People go on editing.
      const isThere = what === 'edited' ? Number(there) >= Number(wanted) : there === wanted;
      if (!isThere)
        found.push(`${conversation.name} (${conversation.id}): ${what}: ${wanted}, in PostgreSQL ${there}`);
    }
  }
  return found;
}

async function append(
  store: ImportsStore,
  begun: Progress,
  drafts: AsyncIterable<Draft>,
  {
    idOf,
    said,
    batchMax,
  }: { idOf: (slackId: string) => string; said: (done: number) => void; batchMax: number },
): Promise<Progress> {
  const seqs = await store.stored(begun.channelId);
  let progress = begun;
  let batch: Draft[] = [];
  const flush = async () => {
    const placed = await store.append(progress, (head) => place(batch, head, seqs, idOf));
    for (const { clientId, seq } of placed) seqs.set(clientId, seq);
    progress = { ...progress, appended: progress.appended + placed.length };
    batch = [];
    said(progress.appended);
  };
  for await (const draft of drafts) {
    if (seqs.has(draft.clientId)) continue;
    batch.push(draft);
    if (batch.length === batchMax) await flush();
  }
  if (batch.length > 0) await flush();
  return progress;
}

/** Gives each its seq and ordinal, as a send would get them, and replies the seq of what they reply to. */
function place(
  batch: readonly Draft[],
  head: { seq: number; ordinal: number },
  seqs: ReadonlyMap<string, number>,
  idOf: (slackId: string) => string,
): PlacedDraft[] {
  const here = new Map<string, number>();
  let { seq, ordinal } = head;
  return batch.map(({ authorId, mentions, root, ...draft }) => {
    seq += 1;
    if (root === null && draft.kind !== 'system') ordinal += 1;
    here.set(draft.clientId, seq);
    const threadSeq = root === null ? null : (here.get(root) ?? seqs.get(root))!;
    const named = [...new Set(mentions.map(idOf))];
    return { ...draft, seq, ordinal, threadSeq, authorId: idOf(authorId), mentions: named };
  });
}
