import { mentionsMax } from '@tidemark/contracts';
import type { People } from './people.js';
import type { SlackMessage } from './shapes.js';
import { inParts, readText, storable, type Names } from './text.js';

/** A message that is to be written: what an export says, in Tidemark's words. Users are named by their Slack ids. */
export interface Draft {
  /** Of the channel's drafts this one alone, in every run. */
  clientId: string;
  authorId: string;
  kind: 'user' | 'bot' | 'system';
  text: string;
  mentions: string[];
  mentionsAll: boolean;
  /** The clientId of the message whose thread this is in. */
  root: string | null;
  /** ISO 8601 with microseconds. */
  createdAt: string;
  editedAt: string | null;
}

/** What people and bots say. Any other subtype is a notice: of a join, a topic, a pin, a deleted message. */
const spoken = new Set([
  ...['bot_message', 'me_message', 'file_share', 'file_comment', 'file_mention', 'thread_broadcast'],
  ...['slackbot_response', 'assistant_app_thread', 'document_mention'],
]);
/** Records of changes, in exports with a history of edits: the message itself is there as it now stands. */
const records = new Set(['message_changed', 'message_deleted', 'message_replied']);

export const isMessage = ({ type, subtype }: SlackMessage): boolean =>
  (type === undefined || type === 'message') && !records.has(subtype ?? '');

export const clientIdOf = (ts: string): string => `slack:${ts}`;

/** `1355517523.000005` -> `2012-12-14T20:38:43.000005Z`: a double would not hold it. */
function timeOf(ts: string): string {
  const [seconds = '', micros = ''] = ts.split('.');
  return `${new Date(Number(seconds) * 1_000).toISOString().slice(0, 19)}.${micros}Z`;
}

/** More than one where the text is longer than a message may be. */
export function draftsOf(
  message: SlackMessage,
  { people, names, root }: { people: People; names: Names; root: string | null },
): Draft[] {
  const { ts, subtype, edited } = message;
  const authorId = people.authorOf(message);
  const isNotice = subtype !== undefined && !spoken.has(subtype);
  const said = readText(message.text ?? '', names);
  const text = [said.text.trim(), besides(message, names)].filter(Boolean).join('\n');
  const draft = {
    authorId,
    kind: isNotice ? 'system' : people.byId.get(authorId)?.kind === 'bot' ? 'bot' : 'user',
    root,
    createdAt: timeOf(ts),
    editedAt: edited ? timeOf(edited.ts) : null,
  } as const;
  return inParts(text || `[${subtype ?? 'no text'}]`).map((part, i) => ({
    ...draft,
    clientId: i === 0 ? clientIdOf(ts) : `${clientIdOf(ts)}#${i + 1}`,
    text: part,
    // Those of the whole text, once. A notice calls nobody.
    mentions: i === 0 && !isNotice ? said.named.slice(0, mentionsMax).map((id) => people.meet(id)) : [],
    mentionsAll: i === 0 && !isNotice && said.everyone,
  }));
}

/** Attachments and files, as lines: Tidemark has neither, and a bot's message is often nothing else. */
function besides({ attachments, files }: SlackMessage, names: Names): string {
  const show = (raw: string | undefined) => (raw ? readText(raw, names).text.trim() : '');
  const ofAttachments = attachments.flatMap(
    ({ pretext, title, title_link: link, text, fallback, fields }) => {
      const own = [pretext, title && (link ? `<${link}|${title}>` : title), text].map(show).filter(Boolean);
      const ofFields = fields.map(({ title, value }) =>
        [show(title), show(value)].filter(Boolean).join(': '),
      );
      return [...(own.length > 0 ? own : [show(fallback)]), ...ofFields];
    },
  );
  const ofFiles = files.map(({ title, name, permalink, url_private: url }) =>
    storable([title || name || 'file', permalink ?? url].filter(Boolean).join(' ')),
  );
  return [...ofAttachments, ...ofFiles].filter(Boolean).join('\n');
}
