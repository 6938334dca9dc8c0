import { join } from 'node:path';
import { parseRawLine } from './irc-line.js';
import { parseLogs, readLogFolder } from './log-folder.js';
import { writeScript, type Script } from './script.js';

/** Files of one channel, each a list of lines; annotations as `i j`. */
function scriptOf(...files: { lines: string[]; links?: string[] }[]): Script {
  return writeScript(
    parseLogs(
      files.map(({ lines, links = [] }, i) => ({
        name: `file ${i}`,
        text: `${lines.join('\n')}\n`,
        annotation: links.map((link) => `${link} -\n`).join(''),
        parse: parseRawLine,
      })),
    ),
  );
}

/** Each step in a few words. */
function told({ channels, users }: Script): string[] {
  return channels.flatMap(({ steps }) =>
    steps.map((step) => {
      const who = users[step.user]!.externalId;
      if (step.do !== 'send') return `${who} ${step.implied ? 'slips in' : `${step.do}s`}`;
      const named = step.mentions.map((user) => users[user]!.externalId).join(' ');
      return `${who} says ${step.text}${named && ` to ${named}`}${step.answers ? ` about ${step.answers.text}` : ''}`;
    }),
  );
}

describe('the script of a log', () => {
  it('lets who speaks without having joined join first', () => {
    expect(told(scriptOf({ lines: ['[00:00] <ada> hello', '[00:00] <ada> again'] }))).toEqual([
      'irc:ada slips in',
      'irc:ada says hello',
      'irc:ada says again',
    ]);
  });

  it('lets joins and parts take effect where they stand', () => {
    const lines = [
      '=== ada [h@x]  has joined #deck',
      '[00:00] <ada> hello',
      '=== ada [h@x]  has left #deck []',
      '[00:01] <ada> back',
    ];
    expect(told(scriptOf({ lines }))).toEqual([
      'irc:ada joins',
      'irc:ada says hello',
      'irc:ada parts',
      'irc:ada slips in',
      'irc:ada says back',
    ]);
  });

  it('passes over joins of who is in and parts of who is not', () => {
    const lines = ['=== ada [h@x]  has left #deck []', '[00:00] <bob> hi', '=== bob [h@x]  has joined #deck'];
    expect(told(scriptOf({ lines }))).toEqual(['irc:bob slips in', 'irc:bob says hi']);
  });

  it('keeps the user over a rename, and gives the old nick to whoever comes under it', () => {
    const lines = [
      '[00:00] <ada> one',
      '=== ada is now known as ada_',
      '[00:00] <ada_> two',
      '[00:00] <ada> three',
      '[00:00] <ADA_> four',
    ];
    expect(told(scriptOf({ lines })).filter((step) => step.includes('says'))).toEqual([
      'irc:ada says one',
      'irc:ada says two',
      'irc:ada~2 says three',
      'irc:ada says four',
    ]);
  });

  it('mentions whom a line speaks to, if they are there', () => {
    const lines = [
      '[00:00] <ada> hi',
      '[00:00] <bob> Ada: hi',
      '[00:00] <cleo> ada, bob: both',
      '[00:00] <cleo> eve: who',
      '[00:00] <cleo> cleo: me',
      '[00:00] <cleo> see ada: not at the start',
    ];
    expect(told(scriptOf({ lines })).filter((step) => step.includes('says'))).toEqual([
      'irc:ada says hi',
      'irc:bob says Ada: hi to irc:ada',
      'irc:cleo says ada, bob: both to irc:ada irc:bob',
      'irc:cleo says eve: who',
      'irc:cleo says cleo: me',
      'irc:cleo says see ada: not at the start',
    ]);
  });

  it('turns annotations into answers, to the nearest line that became a message', () => {
    const lines = [
      '[00:00] <ada> a',
      '=== bob [h@x]  has joined #deck',
      '[00:00] <bob> b',
      '[00:00] <ada> c',
      '[00:00] <bob> d',
    ];
    const links = ['0 2', '0 4', '2 4', '1 3', '3 3'];
    expect(told(scriptOf({ lines, links })).filter((step) => step.includes('says'))).toEqual([
      'irc:ada says a',
      'irc:bob says b about a',
      'irc:ada says c',
      'irc:bob says d about b',
    ]);
  });

  it('knows one channel over all files, also where a file does not name it', () => {
    const { channels } = scriptOf(
      { lines: ['[00:00] <ada> nobody comes or goes'] },
      { lines: ['=== ada [h@x]  has joined #Deck', '[00:00] <ada> here'] },
    );
    expect(channels.map(({ name }) => name)).toEqual(['deck']);
  });

  it('cuts what is too long for a message, and drops what is empty', () => {
    const script = scriptOf({ lines: [`[00:00] <ada> ${'🌊'.repeat(8_001)}`, '[00:00] <ada>  '] });
    const texts = script.channels[0]!.steps.flatMap((step) =>
      step.do === 'send' ? [[...step.text].length] : [],
    );
    expect(texts).toEqual([8_000, 1]);
    expect(script).toMatchObject({ messages: 2, skippedLines: 1 });
  });

  it('reads the made-up log that comes with it', () => {
    const script = writeScript(readLogFolder(join(__dirname, '../../fixtures')));
    expect(script.channels.map(({ name }) => name)).toEqual(['harbour', 'galley']);
    const steps = script.channels.flatMap((channel) => channel.steps);
    expect(script).toMatchObject({ messages: 466, skippedLines: 2 });
    expect(steps.filter((step) => step.do === 'send' && step.answers).length).toBeGreaterThan(100);
    expect(steps.filter((step) => step.do === 'part').length).toBeGreaterThan(5);
  });
});
