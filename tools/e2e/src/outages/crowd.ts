import type { Channel, Message } from '@tidemark/contracts';
import type { Stack } from '@tidemark/stack';

type Service = 'message-api' | 'read-status-service';

export interface Answer<Body = { code?: string }> {
  status: number;
  body: Body;
  headers: Headers;
}

let names = 0;
let listeners = 0;

/** A few people in one channel, for tests that take the system apart. */
export class Crowd {
  private turn = 0;

  private constructor(
    private readonly stack: Stack,
    readonly jwts: readonly string[],
    readonly userIds: readonly string[],
    readonly channelId: string,
  ) {}

  static async gather(stack: Stack, size: number): Promise<Crowd> {
    const prefix = `crowd${names++}`;
    const jwts = Array.from({ length: size }, (_, i) => stack.token(`${prefix}-${i}`));
    const nobody = new Crowd(stack, jwts, [], '');
    const userIds: string[] = [];
    for (const jwt of jwts)
      userIds.push((await nobody.call<{ id: string }>('message-api', jwt, 'GET', '/v1/me')).body.id);
    const channel = await nobody.call<Channel>('message-api', jwts[0]!, 'POST', '/v1/channels', {
      name: prefix,
      visibility: 'public',
    });
    const channelId = channel.body.id;
    if (size > 1) {
      await nobody.call('message-api', jwts[0]!, 'POST', `/v1/channels/${channelId}/members`, {
        userIds: userIds.slice(1),
      });
    }
    return new Crowd(stack, jwts, userIds, channelId);
  }

  /** So many more, who only listen. Their tokens. */
  async admit(size: number): Promise<string[]> {
    const names = Array.from({ length: size }, () => `listener${listeners++}`);
    const admin = this.stack.token('admin', { role: 'admin' });
    const users = names.map((name) => ({ externalId: name, name }));
    const { body } = await this.call<{ items: { id: string }[] }>('message-api', admin, 'POST', '/v1/users', {
      users,
    });
    await this.call('message-api', this.jwts[0]!, 'POST', `/v1/channels/${this.channelId}/members`, {
      userIds: body.items.map(({ id }) => id),
    });
    return names.map((name) => this.stack.token(name));
  }

  send(who: number, clientId: string): Promise<Answer<Message & { code?: string }>> {
    return this.call('message-api', this.jwts[who]!, 'POST', `/v1/channels/${this.channelId}/messages`, {
      clientId,
      text: clientId,
    });
  }

  /** On the next replica of the service, held to a token if one is given; a connection that breaks is status 0. */
  async call<Body = { code?: string }>(
    service: Service,
    jwt: string,
    method: string,
    path: string,
    body?: object,
    token?: string,
  ): Promise<Answer<Body>> {
    const replicas = this.stack.services[service];
    const { url } = replicas[this.turn++ % replicas.length]!;
    try {
      const response = await fetch(`${url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${jwt}`,
          ...(body && { 'content-type': 'application/json' }),
          ...(token && { 'tidemark-token': token }),
        },
        ...(body && { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      return {
        status: response.status,
        body: (text ? JSON.parse(text) : null) as Body,
        headers: response.headers,
      };
    } catch {
      return { status: 0, body: null as Body, headers: new Headers() };
    }
  }
}

/** Between two deeds of one client: load, but not all of the machine. */
export const breathe = (): Promise<void> => new Promise((resume) => setTimeout(resume, 20));

/** Asks again until the answer is as wanted; the last one where it never is. */
export async function eventually<Value>(
  ask: () => Promise<Value>,
  wanted: (value: Value) => boolean,
  withinMs = 30_000,
): Promise<Value> {
  const deadline = Date.now() + withinMs;
  for (;;) {
    const value = await ask();
    if (wanted(value) || Date.now() > deadline) return value;
    await new Promise((resume) => setTimeout(resume, 50));
  }
}
