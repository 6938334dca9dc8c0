import { randomUUID } from 'node:crypto';
import type { Socket } from 'node:net';
import type { DynamicModule, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { bodyBytesMax, consistencyTokenHeader, problemCodes, problemContentType } from '@tidemark/contracts';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { NestLog } from '../log.js';
import { ProblemError, ProblemFilter, sendProblem, toProblemError } from '../problems.js';
import { RuntimeModule, type Runtime } from '../runtime.js';
import { traceRequests } from '../tracing/request-spans.js';
import { CrossOrigin, exposedHeaders } from './cross-origin.js';
import { serveDocs } from './docs.js';
import { acceptOnlyJson } from './json-body.js';

/** For all of a request to arrive: who sends a byte a second holds a connection no longer than this. */
const REQUEST_TIMEOUT_MS = 10_000;
/** Longer than the 60 s of common load balancers, so that they never write into a connection that we just closed. */
const KEEP_ALIVE_MS = 72_000;

export interface HttpAppOptions {
  /** The OpenAPI document to show at `/docs` and to give at `/docs/openapi.json`. */
  openApi?: object;
}

/**
 * A Nest application on Fastify as all our services have it: authentication in front, every refusal a problem,
 * `/health`, `/metrics` and `/docs`. What a process has (Config, Log, Metrics, Health, Drain, Authenticator)
 * can be injected anywhere below `rootModule`, which provides an IdentityStore.
 *
 * Not listening yet. Tests: `await app.init(); await app.getHttpAdapter().getInstance().ready(); app.inject(...)`.
 */
export async function createHttpApp(
  rootModule: Type | DynamicModule,
  runtime: Runtime,
  options: HttpAppOptions = {},
): Promise<NestFastifyApplication> {
  const crossOrigin = new CrossOrigin(runtime.config.origins);
  const adapter = new FastifyAdapter({
    bodyLimit: bodyBytesMax,
    requestTimeout: REQUEST_TIMEOUT_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // While draining, a request on a connection that is still open is served; the answer closes the connection.
    return503OnClosing: false,
    genReqId: requestIdOf,
    frameworkErrors: (error: Error, { headers }: FastifyRequest, reply: FastifyReply) =>
      sendProblem(reply.headers(crossOrigin.headersOf(headers.origin)), toProblemError(error)),
    clientErrorHandler: (error: Error, socket: Socket) =>
      refuseUnreadable(error, socket, crossOrigin.headersFor(socket)),
  });
  const fastify = adapter.getInstance<FastifyInstance>();
  acceptOnlyJson(fastify);
  if (runtime.config.tracing) traceRequests(fastify);
  addHooks(fastify, runtime, crossOrigin);

  const app = await NestFactory.create<NestFastifyApplication>(
    RuntimeModule.around(rootModule, runtime),
    adapter,
    {
      bodyParser: false,
      abortOnError: false,
      logger: new NestLog(runtime.log),
    },
  );
  app.useGlobalFilters(new ProblemFilter(runtime.log));
  app.enableCors({
    origin: (origin: string | undefined, decide: (error: null, allow: boolean) => void) =>
      decide(null, crossOrigin.allows(origin)),
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: ['authorization', 'content-type', consistencyTokenHeader, 'x-request-id'],
    exposedHeaders,
    maxAge: 600,
    strictPreflight: false,
  });
  if (options.openApi) await serveDocs(app, options.openApi);
  return app;
}

function addHooks(
  fastify: FastifyInstance,
  { drain, log, metrics }: Runtime,
  crossOrigin: CrossOrigin,
): void {
  const duration = metrics.histogram(
    'http_request_duration_seconds',
    'From the first byte of a request to the last of its answer.',
    ['method', 'route', 'status'],
  );

  fastify.addHook('onRequest', (request, reply, done) => {
    crossOrigin.note(request);
    reply.headers({
      'x-request-id': request.id,
      'x-content-type-options': 'nosniff',
      'cache-control': 'no-store',
    });
    // Here, before the body is read: what is wrong with a request to nowhere is where it went.
    if (request.is404) sendProblem(reply, new ProblemError('not-found', 'There is no such route.'));
    else done();
  });

  fastify.addHook('onSend', (_request, reply, _payload, done) => {
    if (drain.draining) reply.header('connection', 'close');
    done();
  });

  fastify.addHook('onResponse', (request, reply, done) => {
    // The pattern, not the path: a label per channel would be a time series per channel.
    const route = request.is404 ? 'unknown' : (request.routeOptions.url ?? 'unknown');
    const status = reply.statusCode;
    duration.observe({ method: request.method, route, status }, reply.elapsedTime / 1000);
    // What went well is in the metrics; a line for each would cost more than many requests do.
    const level = status >= 500 ? 'warn' : status >= 400 ? 'info' : 'debug';
    log[level](
      { requestId: request.id, method: request.method, route, status, tookMs: reply.elapsedTime },
      'request',
    );
    done();
  });
}

/** The caller's, where it can be logged as it is. */
function requestIdOf(request: { headers: Record<string, string | string[] | undefined> }): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[\w.-]{1,64}$/.test(given) ? given : randomUUID();
}

/** What Node's parser gives up on never becomes a request: answered on the bare socket, in the same shape. */
function refuseUnreadable(
  error: Error & { code?: string },
  socket: Socket,
  headers: Record<string, string>,
): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return;
  const refusal = refusalOf(error.code);
  const { status, title } = problemCodes[refusal.code];
  const body = JSON.stringify(refusal.toProblem());
  const head = [
    `HTTP/1.1 ${status} ${title}`,
    `content-type: ${problemContentType}`,
    `content-length: ${Buffer.byteLength(body)}`,
    'connection: close',
    ...(refusal.retryAfterS === null ? [] : [`retry-after: ${refusal.retryAfterS}`]),
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`);
}

function refusalOf(code: string | undefined): ProblemError {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return new ProblemError('too-large', 'The headers are too large.');
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      // On a busy machine also what is no fault of whoever asked: it may be asked again.
      return new ProblemError('unavailable', 'The request did not arrive in time.');
    default:
      return new ProblemError('invalid-request', 'This is not an HTTP request that can be read.');
  }
}
