import { lookup } from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { isIP, type LookupFunction } from 'node:net';
import type { OnApplicationShutdown } from '@nestjs/common';
import type { Config } from '@tidemark/runtime';
import { isPrivateAddress } from './private-addresses.js';

/** For all of a request: name, connection, body and the status of the answer. */
const TIMEOUT_MS = 10_000;
/** Of an answer, which nobody reads; a connection that brings more is given up. */
const ANSWER_BYTES_MAX = 16_384;
const SOCKETS_PER_HOST_MAX = 16;
const IDLE_MS = 4_000;

/** Why a request was not answered; never anything of the URL, which may hold a secret. */
export class NotAnsweredError extends Error {
  override name = 'NotAnsweredError';
}

/**
 * Posts to addresses that customers name. Follows no redirect, waits a bounded time, and connects to no private
 * address unless told so. That is judged by the address it is about to connect to: whatever a name resolved to before.
 */
export class WebhookClient implements OnApplicationShutdown {
  private readonly agents: { http: http.Agent; https: https.Agent };
  private readonly allowsPrivate: boolean;

  constructor(
    { webhookPrivateAddresses }: Pick<Config, 'webhookPrivateAddresses'>,
    private readonly resolve: typeof lookup = lookup,
    private readonly timeoutMs = TIMEOUT_MS,
  ) {
    this.allowsPrivate = webhookPrivateAddresses === 'allow';
    const options = {
      keepAlive: true,
      timeout: IDLE_MS,
      maxSockets: SOCKETS_PER_HOST_MAX,
      maxTotalSockets: 16 * SOCKETS_PER_HOST_MAX,
      lookup: this.lookup,
    };
    this.agents = { http: new http.Agent(options), https: new https.Agent(options) };
  }

  /** The status of the answer, whatever it is. Errors: NotAnsweredError. */
  post(url: string, headers: Record<string, string>, body: string): Promise<number> {
    const target = new URL(url);
    const isSecure = target.protocol === 'https:';
    return new Promise((resolve, reject) => {
      // Where the host is an address, Node looks nothing up.
      const host = target.hostname.replace(/^\[|\]$/g, '');
      if (isIP(host) && this.refuses(host)) return reject(new NotAnsweredError('private address'));
      const deadline = AbortSignal.timeout(this.timeoutMs);
      const request = (isSecure ? https : http).request(target, {
        method: 'POST',
        agent: isSecure ? this.agents.https : this.agents.http,
        headers: { ...headers, 'content-length': Buffer.byteLength(body) },
        signal: deadline,
      });
      request.once('response', (answer) => {
        let bytes = 0;
        answer.on('error', () => undefined); // who breaks off after the status has said enough
        answer.on('data', (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > ANSWER_BYTES_MAX) request.destroy();
        });
        resolve(answer.statusCode ?? 0);
      });
      request.on('error', (cause: NodeJS.ErrnoException) => {
        const why = deadline.aborted ? `no answer in ${this.timeoutMs} ms` : (cause.code ?? 'no answer');
        reject(cause instanceof NotAnsweredError ? cause : new NotAnsweredError(why, { cause }));
      });
      request.end(body);
    });
  }

  onApplicationShutdown(): void {
    this.agents.http.destroy();
    this.agents.https.destroy();
  }

  private refuses(address: string): boolean {
    return !this.allowsPrivate && isPrivateAddress(address);
  }

  private readonly lookup: LookupFunction = (hostname, options, callback) => {
    this.resolve(hostname, { ...options, all: true }, (error, addresses) => {
      const [first] = addresses ?? [];
      if (error || !first) return callback(error ?? new NotAnsweredError('no such name'), '');
      // One private address among others is enough: which of them is connected to is not ours to choose.
      if (addresses.some(({ address }) => this.refuses(address))) {
        return callback(new NotAnsweredError('private address'), '');
      }
      if (options.all) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}
