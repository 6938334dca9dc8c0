import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { FastifyAdapter } from '@bull-board/fastify';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Authenticator, ProblemError, sendProblem, toProblemError } from '@tidemark/runtime';
import type { FastifyInstance } from 'fastify';
import { Queues } from './queues.js';

const PATH = '/queues';
const ui = dirname(createRequire(import.meta.url).resolve('@bull-board/ui/package.json'));

/** Bull Board: what waits, runs and has failed. For administrators, and to look at: it changes nothing. */
export async function serveQueueBoard(app: NestFastifyApplication): Promise<void> {
  const { flush, pruning, sampling } = app.get(Queues);
  const board = new FastifyAdapter().setBasePath(PATH);
  createBullBoard({
    queues: [flush, pruning, sampling].map((queue) => new BullMQAdapter(queue, { readOnlyMode: true })),
    serverAdapter: board,
    options: { uiBasePath: ui, uiConfig: { boardTitle: 'Tidemark', hideRedisDetails: true } },
  });
  const authenticator = app.get(Authenticator);
  // Around all that the board registers, its files included. Nest's guard stands before Nest's routes alone.
  const guarded = async (fastify: FastifyInstance) => {
    fastify.addHook('onRequest', async (request, reply) => {
      try {
        const { isAdmin } = await authenticator.authenticate(tokenOf(request.headers.authorization));
        if (!isAdmin) throw new ProblemError('forbidden', 'This is for administrators.');
        // The board refuses changes by itself; a browser sends a password along wherever a foreign page leads it.
        if (request.method !== 'GET') throw new ProblemError('forbidden', 'This is to look at.');
      } catch (error) {
        sendProblem(reply, toProblemError(error));
        return reply;
      }
    });
    fastify.addHook('onSend', async (_request, reply) => {
      if (reply.statusCode === 401) reply.header('www-authenticate', 'Basic realm="Tidemark queues"');
    });
    await fastify.register(board.registerPlugin());
  };
  await app.register(guarded, { prefix: PATH });
}

/** As all services take it, or as the password that a browser asks for: a page cannot be opened with a header. */
function tokenOf(authorization = ''): string | undefined {
  const [, scheme = '', credentials = ''] = /^(Bearer|Basic) +(\S+) *$/i.exec(authorization) ?? [];
  if (scheme.toLowerCase() !== 'basic') return credentials;
  return Buffer.from(credentials, 'base64').toString('utf8').split(':')[1];
}
