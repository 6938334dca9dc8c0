import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder, waitFor } from '@tidemark/engines';
import type { Page } from 'playwright-core';
import { io } from 'socket.io-client';
import { Seaside, socketsMax, Somebody } from './seaside.js';

const axeSource = readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
/** A browser, two of each service and their engines share a machine: patience says nothing about speed. */
const patienceMs = 90_000;
jest.setTimeout(4 * patienceMs);

const imageBytesMax = 200 * 1024;

const until = (what: string, ask: () => Promise<boolean>) => waitFor(what, ask, { timeoutMs: patienceMs });

/** Of accessibility rules, by what is wrong where. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axeSource);
  const found = await page.evaluate<{ id: string; nodes: { html: string }[] }[]>(
    'axe.run().then(({ violations }) => violations)',
  );
  return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join('\n')}`);
}

describe('the web app', () => {
  let seaside: Seaside;
  let page: Page;
  let ada: Somebody;
  let grace: Somebody;

  beforeAll(async () => {
    seaside = await Seaside.open();
    page = await seaside.visit('?as=ada,grace', { stays: true });
    ada = new Somebody(page, 'Ada');
    grace = new Somebody(page, 'Grace');
  });
  afterEach(async () => {
    await seaside.leave();
    expect(seaside.errors.splice(0)).toEqual([]);
    seaside.faultsExpected = false;
  });
  afterAll(() => seaside.close(), 60_000);

  const unreadIs = (who: Somebody, channel: string, count: number) =>
    until(`${who.name} to have ${count} unread in ${channel}`, async () => {
      return (await who.unread(channel)) === count;
    });
  /** Twice, so that one of the two was made after the call. */
  const allCountsAreRight = async (of: Page, people: number) => {
    for (let time = 0; time < 2; time++) {
      await of.waitForResponse((response) => response.url().endsWith('/stack/recount'));
      await until('every count to be right', async () => {
        return (await of.locator('td[data-right="true"]').count()) === people;
      });
    }
    expect(await of.locator('td[data-right="false"]').count()).toBe(0);
  };

  // First, of the community as it was seeded. SCREENSHOTS=1 keeps them.
  it('has its picture taken, small', async () => {
    const folder = join(projectFolder(), 'docs', 'images');
    const take = async (of: Page, name: string) => {
      const image = await of.screenshot({ animations: 'disabled' });
      expect(image.length).toBeLessThan(imageBytesMax);
      if (!process.env['SCREENSHOTS']) return;
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, name), image);
    };
    const wide = await seaside.visit('?as=ada,grace,linus', {
      ...{ viewport: { width: 1240, height: 680 }, colorScheme: 'light' },
    });
    const linus = new Somebody(wide, 'Linus');
    await linus.open('general');
    await linus.say('High water. @ada, are you coming?');
    await new Somebody(wide, 'Ada').message('are you coming').waitFor();
    await allCountsAreRight(wide, 3);
    await wide.mouse.move(0, 0);
    await take(wide, 'web-wide.png');
    await wide.context().close();

    const narrow = await seaside.visit('?as=grace', {
      ...{ viewport: { width: 390, height: 720 }, colorScheme: 'dark' },
    });
    const grace = new Somebody(narrow, 'Grace');
    await grace.open('random');
    await grace.message('Spring tide').waitFor();
    await narrow.mouse.move(0, 0);
    await take(narrow, 'web-narrow.png');
  });

  it('marks nothing as read before somebody is there', async () => {
    await unreadIs(ada, 'general', 4);
    await unreadIs(ada, 'random', 2);
    await until('the total in the title', async () => (await page.title()) === '(8) Ada · Tidemark');
    expect(await ada.channel('general').textContent()).toContain('3 mentioning you');
    await allCountsAreRight(page, 2);
  });

  it('shows with a line what is new, and reads what is looked at', async () => {
    await ada.open('general');
    await ada.newLine.waitFor();
    const lines = await ada.column.locator('.messages ol > li').allTextContents();
    expect(lines.findIndex((text) => text === 'New messages')).toBe(1);
    await unreadIs(ada, 'general', 0);
    // It stays where the reading began.
    expect(await ada.newLine.count()).toBe(1);
    await until('the total to fall', async () => (await page.title()).startsWith('(4)'));
  });

  it('lets two people chat, with a badge that rises and falls', async () => {
    await grace.open('general');
    await grace.composer.pressSequentially('The tide is ', { delay: 20 });
    await ada.column.getByText('Grace is typing…').waitFor();
    await grace.composer.pressSequentially('turning, @ada');
    await grace.composer.press('Enter');
    await ada.message('The tide is turning').waitFor();
    await unreadIs(ada, 'general', 1);
    expect(await ada.channel('general').textContent()).toContain('1 mentioning you');
    await ada.newLine.waitFor();

    await ada.composer.click();
    await unreadIs(ada, 'general', 0);
    await ada.say('So it is.');
    await unreadIs(grace, 'general', 1);
    await grace.composer.click();
    await unreadIs(grace, 'general', 0);
    const latency = page.locator('.panel dd').first();
    await until('the latency', async () => /\d ms/.test((await latency.textContent()) ?? ''));
  });

  it('shows who is online, and who has read', async () => {
    await grace.message('The tide is turning').getByText('Read by Ada').waitFor();
    const others = ada.column.getByRole('list', { name: 'Members' });
    await others.getByText('Grace, online').waitFor();
    await others.getByText('Linus, offline').waitFor();
  });

  it('calls people by the name that they have now', async () => {
    const call = async (name: string) => {
      const { url } = seaside.stack.services['message-api'][0]!;
      const response = await fetch(`${url}/v1/users`, {
        method: 'POST',
        headers: {
          authorization: `Bearer ${seaside.stack.token('root', { role: 'admin' })}`,
          'content-type': 'application/json',
        },
        body: JSON.stringify({ users: [{ externalId: 'grace', name }] }),
      });
      expect(response.status).toBe(200);
      await ada.message('The tide is turning').locator('strong').getByText(name, { exact: true }).waitFor();
      await ada.column.getByRole('list', { name: 'Members' }).getByText(`${name}, online`).waitFor();
    };
    await call('Grace H.');
    await call('Grace');
  });

  it('marks as unread from a message on, and does not take it back by itself', async () => {
    await ada.composer.click();
    await ada.do('The tide is turning', 'Mark unread');
    await unreadIs(ada, 'general', 1);
    expect(await ada.newLine.count()).toBe(1);
    await ada.composer.click();
    await ada.composer.fill('still here');
    expect(await ada.unread('general')).toBe(1);
    await ada.composer.fill('');
    await ada.column.getByRole('button', { name: 'Mark as read' }).click();
    await unreadIs(ada, 'general', 0);
  });

  it('edits and deletes, and what is deleted unread is not unread', async () => {
    await grace.composer.click();
    await grace.say('A tpyo');
    await unreadIs(ada, 'general', 1);
    await grace.do('A tpyo', 'Edit');
    const field = grace.column.getByRole('textbox', { name: 'Edit the message' });
    await field.fill('No typo');
    await field.press('Enter');
    await ada.message('No typo').getByText('(edited)').waitFor();
    expect(await ada.unread('general')).toBe(1);

    await grace.do('No typo', 'Delete');
    await grace.message('No typo').getByRole('button', { name: 'Really delete' }).click();
    await ada.message('This message was deleted.').waitFor();
    await unreadIs(ada, 'general', 0);
    expect(await ada.column.getByText('No typo').count()).toBe(0);
  });

  it('counts a thread apart, for who follows it', async () => {
    await ada.composer.click();
    await ada.do('The tide is turning', 'Reply in thread');
    await ada.say('Which way?');
    // Grace wrote what it is a reply to, so she follows.
    const entry = grace.channel('Thread');
    await entry.waitFor();
    expect(await entry.textContent()).toContain(', 1 unread');
    await unreadIs(grace, 'general', 0);
    await entry.click();
    const thread = grace.column.getByRole('region', { name: 'Grace: thread' });
    await thread.getByText('Which way?').waitFor();
    await entry.waitFor({ state: 'detached' });
    await grace.say('Out.');
    await ada.message('Out.').waitFor();
    await grace.composer.press('Escape');
    await grace.message('The tide is turning').getByRole('button', { name: '2 replies' }).waitFor();
    await ada.column.getByRole('button', { name: 'Back to' }).click();
    await allCountsAreRight(page, 2);
  });

  it('shows what people write as text, whatever it is', async () => {
    const markup = `<img src=x onerror="document.title='owned'"><b>bold</b>`;
    await grace.composer.click();
    await grace.say(markup);
    await ada.message(markup).waitFor();
    expect(await ada.column.locator('.text img, .text b').count()).toBe(0);
  });

  it('makes a channel, brings people in, and joins one by its number, with the keyboard alone', async () => {
    const dialog = (who: Somebody) => who.column.locator('.line-form');
    const press = async (who: Somebody, name: string) => {
      await who.column.getByRole('button', { name, exact: true }).focus();
      await page.keyboard.press('Enter');
    };
    await press(ada, 'New channel');
    expect(await violations(page)).toEqual([]);
    await page.keyboard.press('Escape');
    expect(await dialog(ada).count()).toBe(0);
    expect(await page.evaluate('document.activeElement.textContent')).toBe('New channel');
    await page.keyboard.press('Enter');
    await page.keyboard.type('sandbanks');
    await page.keyboard.press('Enter');
    await ada.column.getByRole('heading', { name: 'sandbanks' }).waitFor();
    await until('the new channel to have the focus', async () => {
      return /sandbanks/.test(await page.evaluate<string>('document.activeElement.textContent'));
    });

    await press(ada, 'Add people');
    const linus = dialog(ada).getByRole('checkbox', { name: 'Linus' });
    await linus.focus();
    await page.keyboard.press('Space');
    expect(await violations(page)).toEqual([]);
    const hint = await dialog(ada).getByText('by the number').textContent();
    await page.keyboard.press('Enter');
    await ada.column.getByRole('list', { name: 'Members' }).getByText('Linus').waitFor();
    await dialog(ada).waitFor({ state: 'detached' });

    await press(grace, 'Join a channel');
    // A browser notes each refusal in its console.
    seaside.faultsExpected = true;
    await page.keyboard.type('999999999');
    await page.keyboard.press('Enter');
    await dialog(grace).getByRole('alert').waitFor();
    await dialog(grace).getByRole('textbox').focus();
    await page.keyboard.press('ControlOrMeta+a');
    await page.keyboard.type(/\d+/.exec(hint!)![0]);
    await page.keyboard.press('Enter');
    await grace.column.getByRole('heading', { name: 'sandbanks' }).waitFor();
    await ada.composer.click();
    await ada.say('Mind the sandbanks');
    await grace.message('Mind the sandbanks').waitFor();
    const other = new Somebody(await seaside.visit('?as=linus'), 'Linus');
    await unreadIs(other, 'sandbanks', 1);
    // One after the other: they share a mouse.
    await ada.open('general');
    await grace.open('general');
  });

  it('takes a cut socket up again without a word lost', async () => {
    seaside.faultsExpected = true;
    await grace.composer.click();
    for (let i = 1; i <= 5; i++) {
      await page.getByRole('button', { name: 'Cut Ada’s socket' }).click();
      await grace.say(`through cut ${i}`);
    }
    await ada.message('through cut 5').waitFor();
    await until('Ada to be online', async () => (await ada.state.textContent()) === 'Online');
    const said = await ada.column.locator('.text').filter({ hasText: 'through cut' }).allTextContents();
    expect(said).toEqual([1, 2, 3, 4, 5].map((i) => `through cut ${i}`));
    await allCountsAreRight(page, 2);
  });

  it('says that it reconnects when the gateways are killed, and brings what was missed', async () => {
    seaside.faultsExpected = true;
    const reconnecting = ada.column.getByText('Reconnecting…').waitFor();
    await page.getByRole('button', { name: 'Kill the gateways' }).click();
    await reconnecting;
    await grace.composer.click();
    await grace.say('said while the gateways are away');
    await ada.column.getByText('Online', { exact: true }).waitFor();
    await ada.message('said while the gateways are away').waitFor();
    await grace.message('said while the gateways are away').locator('article').waitFor();
    expect(await ada.column.getByText('said while the gateways are away').count()).toBe(1);
    await allCountsAreRight(page, 2);
    await Promise.all(seaside.stack.services['realtime-gateway'].map((instance) => instance.started()));
  });

  it('keeps every count right when Redis loses everything', async () => {
    seaside.faultsExpected = true;
    await grace.composer.click();
    await grace.say('before the flush');
    await ada.message('before the flush').waitFor();
    const epoch = page.locator('.panel dl > div').filter({ hasText: 'Cache epoch' }).locator('dd');
    await until('the cache epoch', async () => /\d/.test((await epoch.textContent()) ?? ''));
    const before = Number(await epoch.textContent());
    const unread = await ada.unread('general');
    expect(unread).toBeGreaterThan(0);

    await page.getByRole('button', { name: 'Flush Redis' }).click();
    await until('a new epoch', async () => Number(await epoch.textContent()) > before);
    await grace.say('after the flush');
    await ada.message('after the flush').waitFor();
    await unreadIs(ada, 'general', unread + 1);
    await allCountsAreRight(page, 2);
    await ada.composer.click();
    await unreadIs(ada, 'general', 0);
    await allCountsAreRight(page, 2);
  });

  it('tells what a message costs, and that cursors are flushed', async () => {
    await page.getByRole('button', { name: 'Send 50 messages' }).click();
    const row = (name: string) => page.locator('.panel dl > div').filter({ hasText: name }).locator('dd');
    const numberIn = async (name: string) => Number.parseFloat((await row(name).textContent()) ?? '');
    await until('the costs', async () => (await numberIn('Redis commands a message')) > 0);
    // Backends of PostgreSQL report what they wrote within ten seconds.
    await until('the rows', async () => (await numberIn('Database rows a message')) >= 2);
    await until('a flush', async () => {
      return (await numberIn('Flushed cursors')) > 0 && (await numberIn('Dirty cursors')) === 0;
    });
  });

  it('says that there are too many windows', async () => {
    const token = seaside.stack.token('linus', { name: 'Linus' });
    const sockets = seaside.stack.services['realtime-gateway'].flatMap(({ url }) =>
      Array.from({ length: socketsMax }, () =>
        io(url, { auth: { token }, transports: ['websocket'], forceNew: true }),
      ),
    );
    try {
      await Promise.all(sockets.map((socket) => new Promise((resolve) => socket.once('ready', resolve))));
      const { column } = new Somebody(await seaside.visit('?as=linus'), 'Linus');
      await column.getByRole('alert').getByText('Too many windows are open').waitFor();
    } finally {
      for (const socket of sockets) socket.disconnect();
    }
  });

  it('can be used with the keyboard alone', async () => {
    const alone = await seaside.visit('?as=linus');
    const linus = new Somebody(alone, 'Linus');
    await linus.channel('general').waitFor();
    const focused = () =>
      alone.evaluate<string>(
        'document.activeElement.getAttribute("placeholder") ?? document.activeElement.textContent',
      );
    const tabTo = async (what: RegExp) => {
      for (let presses = 0; presses < 30; presses++) {
        if (what.test(await focused())) return;
        await alone.keyboard.press('Tab');
      }
      throw new Error(`Tab does not lead to ${what.source}`);
    };
    await tabTo(/^# random/);
    await alone.keyboard.press('Enter');
    await linus.column.getByRole('heading', { name: 'random' }).waitFor();
    await unreadIs(linus, 'random', 0);
    // The newest message is on the way to where one writes, and the arrows lead through the others.
    await tabTo(/Spring tide/);
    await alone.keyboard.press('ArrowUp');
    expect(await focused()).toContain('Always tea');
    await alone.keyboard.press('Tab');
    expect(await focused()).toBe('Reply in thread');
    await tabTo(/^Message #random$/);
    await alone.keyboard.type('Typed, not clicked');
    await alone.keyboard.press('Enter');
    await linus.message('Typed, not clicked').locator('article').waitFor();
    expect(await focused()).toBe('Message #random');
  });

  it.each(['light', 'dark'] as const)('breaks no rule of accessibility in the %s', async (colorScheme) => {
    const visit = await seaside.visit('?as=ada,grace,linus', { colorScheme });
    for (const name of ['Ada', 'Grace', 'Linus'])
      await new Somebody(visit, name).column.locator('article').first().waitFor();
    await allCountsAreRight(visit, 3);
    expect(await violations(visit)).toEqual([]);
  });

  it('fits on a narrow screen', async () => {
    const narrow = await seaside.visit('?as=ada,grace', { viewport: { width: 360, height: 740 } });
    const ada = new Somebody(narrow, 'Ada');
    await ada.open('random');
    await ada.say('from a telephone');
    await ada.message('from a telephone').locator('article').waitFor();
    const [wide, shown] = await narrow.evaluate<[number, number]>(
      '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
    );
    expect(wide).toBe(shown);
    const box = await ada.composer.boundingBox();
    expect(box!.width).toBeGreaterThan(150);
  });
});
