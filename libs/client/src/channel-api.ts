import type { EventPage, Message, MessagePage } from '@tidemark/contracts';
import type { Http, HttpRequest } from './http.js';

const fillLimit = 100;

/** One channel's part of the HTTP API. Each rejects with a ChatError. */
export class ChannelApi {
  constructor(
    private readonly channelId: string,
    private readonly http: Http,
  ) {}

  ask<Body>(
    method: HttpRequest['method'],
    path: string,
    body?: unknown,
    more?: Partial<HttpRequest>,
  ): Promise<Body> {
    const { channelId } = this;
    return this.http.ask<Body>({
      ...{ service: 'api', method, path: `/v1/channels/${channelId}${path}`, channelId, body },
      // What we changed ourselves is in what we read next.
      ...(method !== 'GET' && { tells: [channelId] }),
      ...more,
    });
  }

  /** Messages in seq order. */
  page(query: HttpRequest['query'], patienceMs?: number): Promise<MessagePage> {
    return this.ask('GET', '/messages', undefined, { query, tells: [this.channelId], patienceMs });
  }

  message(seq: number): Promise<Message> {
    return this.ask('GET', `/messages/${seq}`);
  }

  /** The log above a seq, however long it takes. */
  events(after: number): Promise<EventPage> {
    const query = { after, limit: fillLimit };
    return this.ask('GET', '/events', undefined, { query, patienceMs: Infinity });
  }
}
