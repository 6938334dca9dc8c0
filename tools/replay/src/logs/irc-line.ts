/** What one line of a log says, whoever's format it is in. */
export type IrcLine =
  | { kind: 'message'; nick: string; text: string }
  | { kind: 'join' | 'part'; nick: string }
  | { kind: 'rename'; nick: string; to: string }
  /** Topics, modes, empty lines: nothing of it concerns a chat. */
  | { kind: 'other' };

/** A line, and the IRC channel it names; null where it names none. */
export interface ParsedLine {
  channel: string | null;
  line: IrcLine;
}

// Letters, digits and what RFC 2812 calls special, and digits in front as well: networks differ.
const NICK = String.raw`[A-Za-z0-9_\-\[\]\\^{}|\x60]+`;
const notice = new RegExp(`^=== (${NICK}) (.*)$`);
const membership = /^\[[^\]]*\]\s+has (joined|left|quit)\b\s*(#\S+)?/;
const rename = new RegExp(String.raw`^is now known as (${NICK})\s*$`);
const speech = /^<[\s@+%~&]*([^\s>]+)>\s?(.*)$/s;
const action = new RegExp(String.raw`^\*\s*(${NICK})(?:\s+(.*))?$`, 's');
const whispered = new RegExp(String.raw`^-(${NICK})-\s(.*)$`, 's');

const rawStamp = /^\[\d\d:\d\d\]\s+(.*)$/s;
const datedStamp = /^(\S+) \d{4}-\d\d-\d\d (?:\[\d\d:\d\d(?::\d\d)?\]\s*)?(.*)$/s;

/** "[HH:MM] <nick> text", "[HH:MM]  * nick action", "=== nick [host] has joined #channel" and so on. */
export function parseRawLine(text: string): ParsedLine {
  const stamped = rawStamp.exec(text);
  return stamped ? { channel: null, line: spoken(stamped[1]!) } : parseNotice(text);
}

/** "<channel> YYYY-MM-DD [HH:MM(:SS)] <nick> text", and the same notices without a time. */
export function parseDatedLine(text: string): ParsedLine {
  const stamped = datedStamp.exec(text);
  if (!stamped) return { channel: null, line: { kind: 'other' } };
  const [, channel = '', rest = ''] = stamped;
  const { line } = rest.startsWith('=== ') ? parseNotice(rest) : { line: spoken(rest) };
  return { channel: channelName(channel), line };
}

/** One name however it is written: `#Ubuntu` and `ubuntu` are the same channel. */
function channelName(name: string): string {
  return name.replace(/^#+/, '').toLowerCase();
}

function spoken(rest: string): IrcLine {
  const said = speech.exec(rest) ?? whispered.exec(rest);
  if (said) return { kind: 'message', nick: said[1]!, text: tidy(said[2]) };
  const done = action.exec(rest);
  if (done) return { kind: 'message', nick: done[1]!, text: tidy(`${done[1]} ${done[2] ?? ''}`) };
  return { kind: 'other' };
}

function parseNotice(text: string): ParsedLine {
  const [, nick, rest = ''] = notice.exec(text) ?? [];
  if (nick === undefined) return { channel: null, line: { kind: 'other' } };
  const moved = membership.exec(rest);
  if (moved) {
    const kind = moved[1] === 'joined' ? 'join' : 'part';
    return { channel: moved[2] === undefined ? null : channelName(moved[2]), line: { kind, nick } };
  }
  const to = rename.exec(rest)?.[1];
  if (to !== undefined) return { channel: null, line: { kind: 'rename', nick, to } };
  // The oldest logs write actions so: "=== nick waves".
  return { channel: null, line: { kind: 'message', nick, text: tidy(`${nick} ${rest}`) } };
}

/** As a message may hold it: no NUL, nothing but a text. Odd bytes have become U+FFFD when the file was read. */
function tidy(text = ''): string {
  return text.replaceAll('\0', '\uFFFD').trim();
}
