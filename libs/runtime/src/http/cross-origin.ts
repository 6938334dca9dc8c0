import type { Socket } from 'node:net';
import { consistencyTokenHeader, servedByHeader } from '@tidemark/contracts';
import type { FastifyRequest } from 'fastify';
import { isOriginAllowed } from '../config.js';

export const exposedHeaders = [consistencyTokenHeader, servedByHeader, 'retry-after', 'x-request-id'];

/**
 * For answers that are given before, or without, what answers all others: the page that asked is to read them too, or
 * its client could not tell a refusal from a network that failed.
 */
export class CrossOrigin {
  private readonly bySocket = new WeakMap<Socket, string>();

  constructor(private readonly origins: readonly string[]) {}

  allows(origin: string | undefined): origin is string {
    return origin !== undefined && isOriginAllowed(this.origins, origin);
  }

  /** What Node gives up on half way through is answered on its socket, where no request is at hand. */
  note({ headers: { origin }, raw: { socket } }: FastifyRequest): void {
    if (this.allows(origin)) this.bySocket.set(socket, origin);
    else this.bySocket.delete(socket);
  }

  headersOf(origin: string | undefined): Record<string, string> {
    if (!this.allows(origin)) return {};
    return {
      'access-control-allow-origin': origin,
      'access-control-expose-headers': exposedHeaders.join(', '),
      vary: 'Origin',
    };
  }

  headersFor(socket: Socket): Record<string, string> {
    return this.headersOf(this.bySocket.get(socket));
  }
}
