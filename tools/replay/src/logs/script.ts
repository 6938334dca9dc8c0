import type { LogFile } from './log-folder.js';

/** Of the public contract: a longer line becomes several messages. */
const TEXT_CHARS_MAX = 8_000;
const MENTIONS_MAX = 100;

/** What the replay does in one channel, one after the other. Users are places in `Script.users`. */
export type Step =
  | { do: 'join' | 'part'; user: number; implied: boolean }
  | { do: 'send'; user: number; name: string; text: string; mentions: number[]; answers: SendStep | null };

export type SendStep = Extract<Step, { do: 'send' }>;

export interface ScriptChannel {
  name: string;
  steps: Step[];
}

export interface Script {
  users: ScriptUser[];
  channels: ScriptChannel[];
  messages: number;
  /** Lines that say nothing: no text, a topic, a mode; and parts of who was not there. */
  skippedLines: number;
}

interface ScriptUser {
  /** The first nick, and a number where somebody else had it before. */
  externalId: string;
  name: string;
  messages: number;
}

/**
 * What happened, in file order: who came, went, spoke, to whom and in answer to what. A rename keeps the user;
 * who speaks without having joined joins first.
 *
 * @param messagesMax stops after as many messages
 */
export function writeScript(files: readonly LogFile[], messagesMax = Number.MAX_SAFE_INTEGER): Script {
  const writer = new ScriptWriter();
  for (const file of files) {
    const sends: (SendStep | undefined)[] = [];
    for (const { channel, line, answers } of file.lines) {
      if (writer.script.messages >= messagesMax) return writer.script;
      const target = answers.map((place) => sends[place]).find((send) => send !== undefined);
      switch (line.kind) {
        case 'message':
          sends.push(writer.say(channel, line.nick, line.text, target ?? null));
          continue;
        case 'join':
        case 'part':
          writer.move(channel, line.nick, line.kind);
          break;
        case 'rename':
          writer.rename(line.nick, line.to);
          break;
        case 'other':
          writer.script.skippedLines += 1;
      }
      sends.push(undefined);
    }
  }
  return writer.script;
}

class ScriptWriter {
  readonly script: Script = { users: [], channels: [], messages: 0, skippedLines: 0 };
  private readonly userByNick = new Map<string, number>();
  private readonly channels = new Map<string, { channel: ScriptChannel; members: Set<number> }>();
  private readonly channelOf = new Map<SendStep, ScriptChannel>();

  say(name: string, nick: string, text: string, target: SendStep | null): SendStep | undefined {
    if (text === '') {
      this.script.skippedLines += 1;
      return undefined;
    }
    const user = this.userOf(nick);
    const { channel, members } = this.channelNamed(name);
    this.enter(name, user, true);
    const mentions = this.namedIn(text, members).filter((named) => named !== user);
    // An answer stays in its channel, whatever an annotation says.
    const answers = target && this.channelOf.get(target) === channel ? target : null;
    const sends = cut(text).map<SendStep>((part, i) => ({
      ...{ do: 'send', user, name: nick, text: part },
      ...(i === 0 ? { mentions, answers } : { mentions: [], answers: null }),
    }));
    channel.steps.push(...sends);
    for (const send of sends) this.channelOf.set(send, channel);
    this.script.messages += sends.length;
    this.script.users[user]!.messages += sends.length;
    return sends[0];
  }

  move(name: string, nick: string, kind: 'join' | 'part'): void {
    const user = this.userOf(nick);
    if (kind === 'join') return this.enter(name, user, false);
    const { channel, members } = this.channelNamed(name);
    // A slice of a log begins in the middle: who leaves may have come before it.
    if (members.delete(user)) channel.steps.push({ do: 'part', user, implied: false });
    else this.script.skippedLines += 1;
  }

  /** The user goes on under the new nick. Who else had that nick before keeps what they wrote, and is silent now. */
  rename(from: string, to: string): void {
    const user = this.userOf(from);
    this.userByNick.delete(from.toLowerCase());
    this.userByNick.set(to.toLowerCase(), user);
  }

  private enter(name: string, user: number, implied: boolean): void {
    const { channel, members } = this.channelNamed(name);
    if (members.has(user)) return;
    members.add(user);
    channel.steps.push({ do: 'join', user, implied });
  }

  /** "nick: ..." and "nick, ..." speak to somebody who is there; "a, b: ..." to several. */
  private namedIn(text: string, members: ReadonlySet<number>): number[] {
    const named = new Set<number>();
    for (let rest = text; named.size < MENTIONS_MAX;) {
      const [head, nick] = /^@?([^\s,:]+)[,:]\s*/.exec(rest) ?? [];
      const user = nick === undefined ? undefined : this.userByNick.get(nick.toLowerCase());
      if (head === undefined || user === undefined || !members.has(user)) break;
      named.add(user);
      rest = rest.slice(head.length);
    }
    return [...named];
  }

  private userOf(nick: string): number {
    const known = this.userByNick.get(nick.toLowerCase());
    if (known !== undefined) return known;
    const namesakes = this.script.users.filter(
      ({ name }) => name.toLowerCase() === nick.toLowerCase(),
    ).length;
    const externalId = `irc:${nick}${namesakes > 0 ? `~${namesakes + 1}` : ''}`;
    const user = this.script.users.push({ externalId, name: nick, messages: 0 }) - 1;
    this.userByNick.set(nick.toLowerCase(), user);
    return user;
  }

  private channelNamed(name: string): { channel: ScriptChannel; members: Set<number> } {
    let known = this.channels.get(name);
    if (!known) {
      known = { channel: { name, steps: [] }, members: new Set() };
      this.channels.set(name, known);
      this.script.channels.push(known.channel);
    }
    return known;
  }
}

/** Characters are code points, as the contract counts them. */
function cut(text: string): string[] {
  if (text.length <= TEXT_CHARS_MAX) return [text];
  const chars = [...text];
  return Array.from({ length: Math.ceil(chars.length / TEXT_CHARS_MAX) }, (_, i) =>
    chars.slice(i * TEXT_CHARS_MAX, (i + 1) * TEXT_CHARS_MAX).join(''),
  );
}
