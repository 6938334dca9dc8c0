import type { FastifyInstance, FastifyRequest } from 'fastify';
import { asPartOf, fail, startTrace, type Span } from './spans.js';

/** Asked every few seconds by what watches a service: spans of them would bury the rest. */
const UNTRACED = /^\/(health|metrics)(\/|$)/;

/** A span for each request to a route, in the caller's trace if it names one. Before hooks that log. */
export function traceRequests(fastify: FastifyInstance): void {
  const spans = new WeakMap<FastifyRequest, Span>();

  fastify.addHook('onRequest', (request, _reply, done) => {
    const route = request.is404 ? undefined : request.routeOptions.url;
    if (route !== undefined && !UNTRACED.test(route)) {
      const given = request.headers['traceparent'];
      const span = startTrace(
        `${request.method} ${route}`,
        {
          kind: 'server',
          attributes: {
            'http.request.method': request.method,
            'http.route': route,
            'tidemark.request_id': request.id,
          },
        },
        typeof given === 'string' ? given : undefined,
      );
      if (span) spans.set(request, span);
    }
    done();
  });

  // Not in the first hook: what comes after a body runs in the context that it was read in, the socket's.
  fastify.addHook('preHandler', (request, _reply, done) => {
    const span = spans.get(request);
    if (span) asPartOf(span, done);
    else done();
  });

  fastify.addHook('onResponse', (request, reply, done) => {
    const span = spans.get(request);
    if (!span) return done();
    span.setAttribute('http.response.status_code', reply.statusCode);
    if (reply.statusCode >= 500) fail(span, String(reply.statusCode));
    span.end();
    asPartOf(span, done);
  });
}
