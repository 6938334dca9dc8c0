import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDatedLine, parseRawLine, type IrcLine, type ParsedLine } from './irc-line.js';

/** A line with the channel it was said in, and the lines of the same file that it answers. */
interface LogLine {
  channel: string;
  line: IrcLine;
  /** Places in `LogFile.lines`, the nearest first. */
  answers: number[];
}

export interface LogFile {
  name: string;
  /** One for each line of the file: annotations count them. */
  lines: LogLine[];
}

const formats = [
  { ending: '.raw.txt', parse: parseRawLine },
  { ending: '.ascii.txt', parse: parseDatedLine },
] as const;

/** Every log of a folder, by name. */
export function readLogFolder(folder: string): LogFile[] {
  const names = readdirSync(folder).sort();
  const sources = names.flatMap<LogSource>((name) => {
    const format = formats.find(({ ending }) => name.endsWith(ending));
    if (!format) return [];
    const base = name.slice(0, -format.ending.length);
    const annotation = `${base}.annotation.txt`;
    return {
      name: base,
      text: readText(join(folder, name)),
      annotation: names.includes(annotation) ? readText(join(folder, annotation)) : '',
      parse: format.parse,
    };
  });
  if (sources.length === 0) {
    throw new Error(
      `${folder} has no logs: their names end in ${formats.map(({ ending }) => ending).join(' or ')}`,
    );
  }
  return parseLogs(sources);
}

export interface LogSource {
  name: string;
  text: string;
  annotation: string;
  parse: typeof parseRawLine;
}

export function parseLogs(sources: readonly LogSource[]): LogFile[] {
  const parsed = sources.map(({ name, text, annotation, parse }) => ({
    name,
    annotation,
    // Split at line feeds alone: other separators within a line are somebody's text, and numbers must hold.
    lines: text
      .replace(/\n$/, '')
      .split('\n')
      .map((line) => parse(line.replace(/\r$/, ''))),
  }));
  // A slice of one channel's log names it only where somebody comes or goes, which may be nowhere.
  const anywhere = mostNamed(parsed.flatMap(({ lines }) => lines)) ?? 'general';
  return parsed.map(({ name, annotation, lines }) => {
    const here = mostNamed(lines) ?? anywhere;
    const placed = lines.map<LogLine>(({ channel, line }) => ({
      channel: channel ?? here,
      line,
      answers: [],
    }));
    for (const [earlier, later] of linksIn(annotation)) placed[later]?.answers.push(earlier);
    for (const line of placed) line.answers.sort((a, b) => b - a);
    return { name, lines: placed };
  });
}

/** "i j -": line j answers line i; a line with itself begins a conversation. */
function linksIn(annotation: string): [earlier: number, later: number][] {
  return annotation.split('\n').flatMap((row) => {
    const [, a, b] = /^(\d+) (\d+)\b/.exec(row) ?? [];
    const [i, j] = [Number(a), Number(b)];
    return a === undefined || b === undefined || i === j ? [] : [[Math.min(i, j), Math.max(i, j)]];
  });
}

function mostNamed(lines: readonly ParsedLine[]): string | null {
  const times = new Map<string, number>();
  for (const { channel } of lines) if (channel !== null) times.set(channel, (times.get(channel) ?? 0) + 1);
  return [...times].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}

function readText(path: string): string {
  return new TextDecoder('utf-8').decode(readFileSync(path));
}
