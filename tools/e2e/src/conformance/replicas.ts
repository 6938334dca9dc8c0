import { setTimeout as delay } from 'node:timers/promises';
import type { Stack } from '@tidemark/stack';

export interface Answer<Body> {
  status: number;
  body: Body;
  /** The consistency token; '' for none. */
  token: string;
}

/** Asks the replicas of a service in turn, as a load balancer would. */
export class Replicas {
  private turn = 0;

  constructor(private readonly stack: Stack) {}

  async call<Body>(
    service: 'message-api' | 'read-status-service',
    jwt: string,
    method: string,
    path: string,
    body?: object,
    token?: string,
  ): Promise<Answer<Body>> {
    const replicas = this.stack.services[service];
    const { url } = replicas[this.turn++ % replicas.length]!;
    const ask = () =>
      fetch(`${url}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${jwt}`,
          ...(body && { 'content-type': 'application/json' }),
          ...(token && { 'tidemark-token': token }),
        },
        ...(body && { body: JSON.stringify(body) }),
      });
    let response = await ask();
    let text = await response.text();
    // Rather than guess, a service that is kept waiting on a busy machine says that it is to be asked again.
    for (let left = 10; left > 0 && response.status === 503 && method === 'GET'; left--) {
      await delay(200);
      response = await ask();
      text = await response.text();
    }
    if (response.status >= 500) throw new Error(`${method} ${path} answered ${response.status}: ${text}`);
    return {
      status: response.status,
      body: (text ? JSON.parse(text) : null) as Body,
      token: response.headers.get('tidemark-token') ?? '',
    };
  }
}
