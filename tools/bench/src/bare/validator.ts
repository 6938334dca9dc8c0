import type { Server } from 'node:http';
import { sendMessage } from '@tidemark/contracts';
import { fastify } from 'fastify';

/** Fastify as it comes, with the schema of a send and nothing behind it: no user, no channel, no storage. */
export async function openValidator(): Promise<Server> {
  const app = fastify();
  let seq = 0;
  app.post('*', async (request, reply) => {
    const parsed = sendMessage.safeParse(request.body);
    if (!parsed.success) return reply.status(400).send({ code: 'invalid-request' });
    return reply.status(201).send({ seq: ++seq, clientId: parsed.data.clientId });
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  return app.server;
}
