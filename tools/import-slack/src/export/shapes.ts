import { z } from 'zod';
import { BadExportError } from './export-files.js';

// What is read of an export. Whatever else is in it is passed over, and so is an optional field of another shape.

const optional = <Shape extends z.ZodType>(shape: Shape) => shape.optional().catch(undefined);
const words = optional(z.string());
const list = <Shape extends z.ZodType>(shape: Shape) => z.array(shape).catch([]);

const profile = optional(
  z.object({
    display_name: words,
    real_name: words,
    name: words,
    email: words,
    bot_id: words,
    image_192: words,
  }),
);
const ref = z.string().min(1).max(64);

export const slackUser = z.object({
  ...{ id: ref, name: words, real_name: words, profile },
  is_bot: z.boolean().catch(false),
});
export type SlackUser = z.infer<typeof slackUser>;

export const slackConversation = z.object({
  ...{ id: ref, name: words, creator: optional(ref) },
  created: optional(z.number().int().positive()),
  is_archived: z.boolean().catch(false),
  members: list(ref),
});
export type SlackConversation = z.infer<typeof slackConversation>;

/** Seconds and microseconds: what a message is named by in its channel. */
const ts = z.string().regex(/^\d{1,10}\.\d{6}$/, 'must be a time such as 1355517523.000005');

const link = { title: words, title_link: words };
const attachment = z.object({
  ...{ ...link, pretext: words, text: words, fallback: words },
  fields: list(z.object({ title: words, value: words })),
});
const file = z.object({ title: words, name: words, permalink: words, url_private: words });

export const slackMessage = z.object({
  ...{ type: words, subtype: words, ts, thread_ts: optional(ts) },
  ...{ user: optional(ref), bot_id: optional(ref), username: words, text: words },
  ...{ bot_profile: profile, user_profile: profile },
  comment: optional(z.object({ user: optional(ref) })),
  edited: optional(z.object({ ts })),
  attachments: list(attachment),
  files: list(file),
});
export type SlackMessage = z.infer<typeof slackMessage>;

/** The entries of one file of an export. */
export function readList<Shape extends z.ZodType>(
  name: string,
  bytes: Buffer,
  shape: Shape,
): z.infer<Shape>[] {
  let content: unknown;
  try {
    content = JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw new BadExportError(`${name} is not JSON: ${(error as Error).message}`);
  }
  const read = z.array(shape).safeParse(content);
  if (read.success) return read.data;
  const { path, message } = read.error.issues[0]!;
  throw new BadExportError(`${name}: ${path.length > 0 ? `${path.join('.')}: ` : ''}${message}`);
}
