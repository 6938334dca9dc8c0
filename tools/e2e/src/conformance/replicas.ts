import { setTimeout as delay } from 'node:timers/promises';
import type { Stack } from '@tidemark/stack';

export interface Answer<Body> {
  status: number;
  body: Body;
  /** The consistency token; '' for none. */
  token: string;
}

/** How long somebody who is kept waiting comes again. */
const AGAIN_MS = 200;
const LOOKS_AGAIN_MAX = 10;
const AGAIN_MAX = 75;

/**
 * Asks the replicas of a service in turn, as a load balancer would. Whoever is `patient` takes no refusal for an
 * answer, whatever they asked, as clients do: where refusals are a part of what is played.
 */
export class Replicas {
  private turn = 0;

  constructor(
    private readonly stack: Stack,
    private readonly patient: boolean,
  ) {}

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
    let left = this.patient ? AGAIN_MAX : method === 'GET' ? LOOKS_AGAIN_MAX : 0;
    for (; left > 0 && response.status === 503; left--) {
      await delay(AGAIN_MS);
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
