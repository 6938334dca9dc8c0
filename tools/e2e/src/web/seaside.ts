import { freePort, projectFolder } from '@tidemark/engines';
import { buildWeb, seedCommunity, Site, startStack, type Stack } from '@tidemark/stack';
import type { Browser, BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core';
import { launchBrowser } from './browser.js';

const patienceMs = 90_000;

/** Of one user on one gateway: more than any test opens unless it wants to. */
export const socketsMax = 8;

/** What a browser says by itself when the other end is away, as when a test kills it, or refuses. */
const awayWords = /WebSocket connection|ERR_CONNECTION_REFUSED|status of (404|503)|ERR_EMPTY_RESPONSE/;

/** The whole system with its seeded community, the page that shows it, and a browser. */
export class Seaside {
  /** Of all pages: errors in the console, and those that nobody caught. */
  readonly errors: string[] = [];
  faultsExpected = false;
  private readonly visits: BrowserContext[] = [];

  private constructor(
    readonly stack: Stack,
    readonly site: Site,
    readonly browser: Browser,
  ) {}

  static async open(): Promise<Seaside> {
    const browser = await launchBrowser();
    const folder = await buildWeb(projectFolder());
    const stack = await startStack({
      instances: { 'message-api': 2, 'realtime-gateway': 2 },
      env: {
        ...{ FLUSH_INTERVAL_MS: '1000', DRAIN_MS: '2000', LOG_LEVEL: 'warn' },
        USER_SOCKETS_MAX: String(socketsMax),
      },
      ...{ durable: false, stackFile: null },
    });
    await seedCommunity(stack);
    return new Seaside(stack, await Site.start(stack, { folder, port: await freePort() }), browser);
  }

  /** Closes what a test has opened, however it ended. */
  async leave(): Promise<void> {
    await Promise.all(this.visits.splice(0).map((context) => context.close()));
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.site.stop();
    await this.stack.stop();
  }

  /** Until `leave`, unless it `stays`. */
  async visit(
    search: string,
    { stays = false, ...options }: BrowserContextOptions & { stays?: boolean } = {},
  ): Promise<Page> {
    const context = await this.browser.newContext({ viewport: { width: 1440, height: 900 }, ...options });
    if (!stays) this.visits.push(context);
    const page = await context.newPage();
    page.setDefaultTimeout(patienceMs);
    const note = (text: string) => {
      if (!(this.faultsExpected && awayWords.test(text))) this.errors.push(text);
    };
    page.on('console', (line) => line.type() === 'error' && note(line.text()));
    page.on('pageerror', (error) => note(error.stack ?? error.message));
    await page.goto(`${this.site.url}/${search}`);
    return page;
  }
}

/** One person's part of the page. */
export class Somebody {
  readonly column: Locator;

  constructor(
    readonly page: Page,
    readonly name: string,
  ) {
    this.column = page.getByRole('region', { name, exact: true });
  }

  channel(name: string): Locator {
    return this.column.getByRole('navigation').getByRole('button', { name: new RegExp(`^${name}`) });
  }

  get composer(): Locator {
    return this.column.getByRole('textbox');
  }

  /** The list item of the newest message with this text. */
  message(text: string): Locator {
    return this.column.locator('li[data-key]').filter({ hasText: text }).last();
  }

  get newLine(): Locator {
    return this.column.getByText('New messages', { exact: true });
  }

  get state(): Locator {
    return this.column.getByRole('status');
  }

  async open(channel: string): Promise<void> {
    await this.channel(channel).click();
    await this.column.getByRole('heading', { name: channel }).waitFor();
  }

  async say(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press('Enter');
  }

  /** With the pointer on a message. */
  async do(text: string, deed: string): Promise<void> {
    await this.message(text).hover();
    await this.message(text).getByRole('button', { name: deed, exact: true }).click();
  }

  /** What the badges of a channel say. */
  async unread(channel: string): Promise<number> {
    const said = (await this.channel(channel).first().textContent()) ?? '';
    return Number(/, (\d+) unread/.exec(said)?.[1] ?? 0);
  }
}
