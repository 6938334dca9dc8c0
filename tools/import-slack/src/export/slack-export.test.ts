import { packed, changed, harbour, useFolder, zipIn } from '../test-support/exports.js';
import { BadExportError } from './export-files.js';
import { openFolder } from './folder-files.js';
import type { Identity } from './people.js';
import { SlackExport } from './slack-export.js';
import { openZip } from './zip-files.js';

const folder = useFolder();

/** Everything that an export says. */
async function read(path: string, identity: Identity = 'id') {
  const slack = await SlackExport.open(path, identity);
  const drafts = [];
  for (const conversation of slack.conversations) {
    for await (const draft of slack.drafts(conversation)) drafts.push({ of: conversation.name, ...draft });
  }
  slack.close();
  return { people: [...slack.people.byId], conversations: slack.conversations, drafts };
}

/** Why it cannot be read. */
const refusal = (path: string, identity?: Identity) =>
  read(path, identity).then(
    () => 'was read',
    (error: Error) => {
      expect(error).toBeInstanceOf(BadExportError);
      return error.message;
    },
  );

describe('a Slack export', () => {
  it('has every message once, in time order, replies after what they reply to', async () => {
    const { drafts } = await read(harbour);
    expect(drafts.filter(({ of }) => of === 'general')).toMatchSnapshot();
  });

  it('names conversations that have no name by who is in them', async () => {
    const { conversations } = await read(harbour);
    expect(conversations.map(({ name, visibility }) => `${visibility} ${name}`)).toEqual([
      ...['public general', 'public wrecks', 'public empty', 'private launch'],
      ...['private mara, Ole Brandt, Noor Haddad', 'private mara, Ole Brandt'],
    ]);
  });

  it('knows guests and bots that users.json does not list by what they say', async () => {
    const people = new Map((await read(harbour)).people);
    expect(people.get('U0GUEST')).toMatchObject({ name: 'Gus Visitor', kind: 'person' });
    expect(people.get('B09DEPLOY')).toMatchObject({ name: 'deploys', kind: 'bot' });
    expect(people.get('U04TIDE')).toMatchObject({ name: 'Tide Bot', kind: 'bot' });
    expect(people.size).toBe(9);
  });

  it('gives users the identity that is asked for, and bots one of Slack', async () => {
    const externalIds = async (identity: Identity) =>
      new Map((await read(harbour, identity)).people.map(([id, { externalId }]) => [id, externalId]));
    expect((await externalIds('id')).get('U01MARA')).toBe('slack:U01MARA');
    expect((await externalIds('email')).get('U01MARA')).toBe('mara@harbour.example');
    expect((await externalIds('name')).get('U01MARA')).toBe('mara');
    expect((await externalIds('name')).get('U04TIDE')).toBe('slack:U04TIDE');
    expect((await externalIds('email')).get('U0GUEST')).toBe('slack:U0GUEST');
  });

  it('says the same from a zip, and from one with a folder around it', async () => {
    const unpacked = await read(harbour);
    expect(await read(await zipIn(folder.path, await packed()))).toEqual(unpacked);
    expect(await read(await zipIn(folder.path, await packed('Harbour export/')))).toMatchObject({
      drafts: unpacked.drafts,
    });
  });
});

describe('what is no Slack export', () => {
  const users = (...entries: object[]) => JSON.stringify(entries);

  it.each<[string, Record<string, string | null>, string | RegExp]>([
    ['no users', { 'users.json': null }, 'there is no users.json: this is no Slack export'],
    ['no channels', { 'channels.json': null }, 'there is no channels.json: this is no Slack export'],
    ['half a file', { 'launch/2026-01-04.json': '[{"ts"' }, /^launch\/2026-01-04.json is not JSON: /],
    ['an object', { 'users.json': '{}' }, /^users.json: .*expected array/],
    ['a user without an id', { 'users.json': users({ name: 'x' }) }, /^users.json: 0.id: /],
    ['a channel without a name', { 'channels.json': users({ id: 'C1' }) }, 'channels.json: C1 has no name'],
    [
      ...([
        'a channel twice',
        { 'channels.json': users({ id: 'C1', name: 'a' }, { id: 'C1', name: 'b' }) },
      ] as const),
      'channels.json: C1 is listed twice',
    ],
    [
      ...(['a message at no time', { 'launch/2026-01-04.json': users({ ts: 'soon' }) }] as const),
      'launch/2026-01-04.json: 0.ts: must be a time such as 1355517523.000005',
    ],
  ])('%s: is refused with a word on where', async (_, files, why) => {
    expect(await refusal(await changed(folder.path, files))).toEqual(
      why instanceof RegExp ? expect.stringMatching(why) : why,
    );
  });

  it('is refused where two users would be one', async () => {
    const profile = { email: 'a@b.example' };
    const path = await changed(folder.path, {
      'users.json': users({ id: 'U1', profile }, { id: 'U2', profile }),
    });
    expect(await refusal(path, 'email')).toMatch(/U1 and U2 have the same email, a@b.example/);
  });

  it('is refused where there is nothing', async () => {
    expect(await refusal('/nowhere/at-all')).toBe('/nowhere/at-all: there is no such folder or file');
  });

  it.each(['../users.json', '/etc/passwd', 'general/../../x.json', 'general\\..\\x.json'])(
    'is refused as a zip with %s in it',
    async (name) => {
      const path = await zipIn(folder.path, { ...(await packed()), [name]: '[]' });
      expect(await refusal(path)).toMatch(/invalid relative path|absolute path|invalid characters/);
    },
  );

  it('is refused as a zip that holds more than it says', async () => {
    const path = await zipIn(folder.path, await packed(), { 'users.json': 10 });
    expect(await refusal(path)).toMatch(/too many bytes/);
  });

  it('is refused as something that is no zip', async () => {
    expect(await refusal(`${harbour}/users.json`)).toMatch(/users.json: .*central directory/i);
  });

  it.each([
    ['folder', () => Promise.resolve(harbour), openFolder],
    ['zip', async () => zipIn(folder.path, await packed()), openZip],
  ] as const)('is refused as a %s beyond the limits', async (_, path, open) => {
    await expect(open(await path(), { filesMax: 3, fileBytesMax: 1e9 })).rejects.toThrow(
      'has more than 3 files',
    );
    const files = await open(await path(), { filesMax: 1_000, fileBytesMax: 100 });
    await expect(files.read('users.json')).rejects.toThrow('users.json is larger than 100 bytes');
    files.close();
  });
});
