import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { connecting, failing, passive, reading, watching, writing } from './examples.js';
import { Gathering, until } from './gathering.js';

const read = (path: string) => readFileSync(join(__dirname, path), 'utf8');

/** Without the indentation of the function around it. */
function dedent(code: string): string {
  const lines = code.replace(/^\n+|\s+$/g, '').split('\n');
  const depth = Math.min(...lines.filter(Boolean).map((line) => line.search(/\S/)));
  return lines.map((line) => line.slice(depth)).join('\n');
}

describe('the examples of docs/client.md', () => {
  it('are those that run here', () => {
    const documented = [...read('../../../../docs/client.md').matchAll(/```ts\n([\s\S]*?)```/g)];
    const run = [...read('examples.ts').matchAll(/\/\/ #region \w+\n([\s\S]*?)\/\/ #endregion/g)];
    expect(documented.map(([, code]) => dedent(code!))).toEqual(run.map(([, code]) => dedent(code!)));
    expect(run).toHaveLength(6);
  });

  describe('run', () => {
    let gathering: Gathering;
    let said: jest.SpyInstance;
    beforeAll(async () => {
      gathering = await Gathering.start();
    }, 120_000);
    beforeEach(() => {
      said = jest.spyOn(console, 'info').mockImplementation(() => undefined);
    });
    afterEach(() => jest.restoreAllMocks());
    afterAll(() => gathering.stop(), 60_000);

    it('one after the other', async () => {
      const user = gathering.name('ada');
      const chat = await connecting(gathering.urls, async () => gathering.stack.token(user));
      const { id } = await chat.createChannel({ name: 'examples', visibility: 'public' });
      const bob = gathering.name('bob');
      const bobs = await (await gathering.connect(bob)).join(id);
      expect(said).toHaveBeenCalledWith(chat.userId, 0, 0);

      await writing(chat, id);
      await until(() => said.mock.calls.some((call) => String(call) === String([id, 'hi all'])));
      await failing(chat, id);
      expect(said).toHaveBeenCalledWith('invalid-request', 400, false, expect.anything());
      expect(chat.channel(id).messages.map(({ status }) => status)).toEqual(['sent', 'sent']);

      await bobs.send('for you');
      await until(() => chat.total === 1);
      await reading(chat, id);
      expect(said).toHaveBeenCalledWith(0, 0, 0);
      expect(chat.total).toBe(1);
      expect(watching((_, getSnapshot) => getSnapshot(), chat, id)).toBe('3 1 0 1 online');
      const other = await passive(gathering.urls, async () => gathering.stack.token(user), id);
      expect(said).toHaveBeenCalledWith(1, 0);
      expect(said).toHaveBeenCalledWith(3, true);
      expect(other.channel(id).getSnapshot().open).toBe(false);
      await Promise.all([chat.close(), other.close()]);
    });
  });
});
