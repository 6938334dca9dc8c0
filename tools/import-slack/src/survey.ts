import type { Conversation, SlackExport } from './export/slack-export.js';

/** What an export holds of a conversation, or what PostgreSQL does. A message in several parts is one. */
export interface Tally {
  channels: number;
  messages: number;
  ofBots: number;
  notices: number;
  replies: number;
  edited: number;
  members: number;
  /** When the first and the last were said, ISO 8601 with microseconds; null without any. */
  first: string | null;
  last: string | null;
}

/**
 * Reads an export to its end: what it holds, by conversation, and so that whatever is wrong with it is found before
 * anything is written, and whoever speaks in it is known.
 */
export async function survey(
  slack: SlackExport,
  onProgress: (messages: number) => void = () => undefined,
): Promise<Map<Conversation, Tally>> {
  const tallies = new Map<Conversation, Tally>();
  let all = 0;
  for (const conversation of slack.conversations) {
    const tally: Tally = {
      ...{ channels: 1, messages: 0, ofBots: 0, notices: 0, replies: 0, edited: 0 },
      ...{ members: conversation.memberIds.length, first: null, last: null },
    };
    for await (const { clientId, kind, root, editedAt, createdAt } of slack.drafts(conversation)) {
      if (isFurtherPart(clientId)) continue;
      tally.messages += 1;
      if (kind === 'bot') tally.ofBots += 1;
      if (kind === 'system') tally.notices += 1;
      if (root !== null) tally.replies += 1;
      if (editedAt !== null) tally.edited += 1;
      if (tally.first === null || createdAt < tally.first) tally.first = createdAt;
      if (tally.last === null || createdAt > tally.last) tally.last = createdAt;
      onProgress(++all);
    }
    tallies.set(conversation, tally);
  }
  return tallies;
}

const isFurtherPart = (clientId: string): boolean => clientId.includes('#');
