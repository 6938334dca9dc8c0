import { type Chat, type ChatOptions, connect } from '@tidemark/client';
import type { Message, Unread } from '@tidemark/contracts';
import { startProxy, type TcpProxy } from '@tidemark/engines';
import { startStack, type Stack } from '@tidemark/stack';

let names = 0;

/** The whole system, several of each service and a replica that lags, with people who use it through the client. */
export class Gathering {
  private readonly chats: Chat[] = [];
  private readonly proxies: TcpProxy[] = [];
  private turn = 0;

  private constructor(readonly stack: Stack) {}

  static async start(): Promise<Gathering> {
    const stack = await startStack({
      instances: { 'message-api': 2, 'realtime-gateway': 2, 'read-status-service': 2 },
      // Long enough for a Redis that dies to take reads with it.
      env: { FLUSH_INTERVAL_MS: '3000', DRAIN_MS: '2000', LOG_LEVEL: 'warn' },
      pgReplicas: 1,
      replicaLagMs: 300,
      preferredPorts: false,
      durable: false,
      stackFile: null,
    });
    return new Gathering(stack);
  }

  async stop(): Promise<void> {
    await this.disperse();
    await this.stack.stop();
  }

  /** Closes what a test opened. */
  async disperse(): Promise<void> {
    await Promise.all(this.chats.splice(0).map((chat) => chat.close()));
    await Promise.all(this.proxies.splice(0).map((proxy) => proxy.close()));
  }

  /** A name that nobody had before. */
  name(of: string): string {
    return `${of}-${names++}-${process.pid}`;
  }

  get urls() {
    const { services } = this.stack;
    const one = (of: { url: string }[]) => of[this.turn++ % of.length]!.url;
    return {
      api: one(services['message-api']),
      realtime: one(services['realtime-gateway']),
      readStatus: one(services['read-status-service']),
    };
  }

  async connect(user: string, options: Partial<ChatOptions> = {}): Promise<Chat> {
    const chat = await connect({ urls: this.urls, getToken: () => this.stack.token(user), ...options });
    this.chats.push(chat);
    return chat;
  }

  /** The way to a service, to be cut or stalled. */
  async proxy(url: string): Promise<TcpProxy & { url: string }> {
    const proxy = await startProxy(Number(new URL(url).port));
    this.proxies.push(proxy);
    return Object.assign(proxy, { url: `http://127.0.0.1:${proxy.port}` });
  }

  /** Two people in a channel. */
  async pair(options: { ada?: Partial<ChatOptions>; bob?: Partial<ChatOptions> } = {}) {
    const names = [this.name('ada'), this.name('bob')] as const;
    const ada = await this.connect(names[0], options.ada);
    const bob = await this.connect(names[1], options.bob);
    const { id } = await ada.createChannel({ name: 'tides', visibility: 'public' });
    const bobs = await bob.join(id);
    await until(() => ada.exact && bob.exact);
    return { ada, bob, adas: ada.channel(id), bobs, id, names };
  }

  /** Somebody without a client. */
  async post(user: string, channelId: string, clientId: string, text = clientId): Promise<Message> {
    return this.ask(user, this.urls.api, 'POST', `/v1/channels/${channelId}/messages`, { clientId, text });
  }

  unread(user: string): Promise<Unread> {
    return this.ask(user, this.urls.readStatus, 'GET', '/v1/unread');
  }

  async stored(user: string, channelId: string): Promise<Message[]> {
    const items: Message[] = [];
    for (let after = 0; ; after = items.at(-1)!.seq) {
      const path = `/v1/channels/${channelId}/messages?after=${after}&limit=100`;
      const page = await this.ask<{ items: Message[]; hasAfter: boolean }>(
        ...([user, this.urls.api, 'GET', path] as const),
      );
      items.push(...page.items);
      if (!page.hasAfter) return items;
    }
  }

  private async ask<Body>(user: string, url: string, method: string, path: string, body?: object) {
    const response = await fetch(url + path, {
      method,
      headers: {
        authorization: `Bearer ${this.stack.token(user)}`,
        ...(body && { 'content-type': 'application/json' }),
      },
      ...(body && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Body;
  }
}

/** Waits for a condition; says what it was when it never comes. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  { withinMs = 30_000 }: { withinMs?: number } = {},
): Promise<void> {
  const deadline = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`Never came: ${condition.toString()}`);
    await new Promise((resume) => setTimeout(resume, 20));
  }
}
