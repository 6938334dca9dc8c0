import { randomBytes, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Message } from '@tidemark/contracts';
import { startStack, type Stack } from '@tidemark/stack';
import { until } from '../client/gathering.js';
import { Person } from '../security/person.js';
import { Collector, type ReceivedSpan } from './collector.js';

const text = `written by a person ${randomUUID()}`;

/** A system that sends its spans to a collector, and every command that its Redis ran. */
function useStack(env: Record<string, string>) {
  const world = {
    stack: null! as Stack,
    collector: null! as Collector,
    commands: [] as string[],
    folder: '',
  };
  let monitor: Socket;
  beforeAll(async () => {
    world.folder = mkdtempSync(join(tmpdir(), 'tidemark-tracing-'));
    world.collector = await Collector.start();
    world.stack = await startStack({
      env: {
        ...{ OTEL_EXPORTER_OTLP_ENDPOINT: world.collector.url, OTEL_BSP_SCHEDULE_DELAY: '50' },
        ...{ FLUSH_INTERVAL_MS: '100', LOG_LEVEL: 'debug', ...env },
      },
      ...{ dataDir: world.folder, durable: false, stackFile: null },
    });
    // By hand: to ioredis a monitor is a reply too many as soon as Redis is busy.
    const { hostname, port } = new URL(world.stack.redisUrl);
    monitor = connect(Number(port), hostname).setEncoding('utf8');
    createInterface({ input: monitor }).on('line', (line) => world.commands.push(line));
    await once(monitor, 'connect');
    monitor.write('MONITOR\r\n');
    await until(() => world.commands.length > 0);
  }, 180_000);
  afterAll(async () => {
    monitor.destroy();
    await world.stack.stop();
    await world.collector.stop();
    rmSync(world.folder, { recursive: true, force: true });
  }, 120_000);
  return world;
}

/** Ada sends, in a trace that her client has begun; Bob hears it and reads it. */
async function sendAndRead(stack: Stack) {
  const [ada, bob] = [await Person.called(stack, 'ada'), await Person.called(stack, 'bob')];
  const channel = await ada.ask('message-api', 'POST', '/v1/channels', { name: 'x', visibility: 'private' });
  const channelId = channel.body['id'] as string;
  await ada.ask('message-api', 'POST', `/v1/channels/${channelId}/members`, { userIds: [bob.id] });
  const socket = await bob.connect();

  const [traceId, callerId] = [randomBytes(16).toString('hex'), randomBytes(8).toString('hex')];
  const requestId = randomUUID();
  const answer = await fetch(`${stack.services['message-api'][0]!.url}/v1/channels/${channelId}/messages`, {
    method: 'POST',
    headers: {
      ...{ authorization: `Bearer ${ada.token}`, 'content-type': 'application/json' },
      ...{ traceparent: `00-${traceId}-${callerId}-01`, 'x-request-id': requestId },
    },
    body: JSON.stringify({ clientId: randomUUID(), text }),
  });
  const { seq } = (await answer.json()) as Message;
  await until(() => bob.heard.some((said) => said.includes(text)));
  await socket.timeout(10_000).emitWithAck('read', [{ channelId, seq }]);
  socket.disconnect();
  return { ada, bob, traceId, callerId, requestId };
}

const linksTo = ({ links }: ReceivedSpan, { spanId, traceId }: ReceivedSpan) =>
  links.some((link) => link.spanId === spanId && link.traceId === traceId);

describe('a message that is traced', () => {
  const world = useStack({});

  it('is followed from its request through Redis to the gateway, and its read to the flush', async () => {
    const { ada, bob, traceId, callerId, requestId } = await sendAndRead(world.stack);
    const { collector } = world;
    const found = (name: string, of: (span: ReceivedSpan) => boolean) =>
      collector.spans.find((span) => span.name === name && of(span));
    const inTrace = (name: string) => found(name, (span) => span.traceId === traceId);

    await until(() => inTrace('deliver event') !== undefined);
    const post = inTrace('POST /v1/channels/:id/messages')!;
    expect(post).toMatchObject({ service: 'message-api', parentSpanId: callerId });
    const append = inTrace('append batch')!;
    expect(append).toMatchObject({ service: 'message-api', parentSpanId: post.spanId });
    expect(linksTo(post, append)).toBe(true);
    expect(inTrace('apply run')).toMatchObject({ service: 'message-api', parentSpanId: post.spanId });
    const delivery = inTrace('deliver event')!;
    expect(delivery).toMatchObject({ service: 'realtime-gateway', parentSpanId: post.spanId });

    await until(() => found('report read', (span) => linksTo(span, delivery)) !== undefined);
    const report = found('report read', (span) => linksTo(span, delivery))!;
    expect(report.service).toBe('realtime-gateway');
    const advances = (span: ReceivedSpan) => span.parentSpanId === report.spanId;
    await until(() => found('advance read cursors', advances) !== undefined);
    const advance = found('advance read cursors', advances)!;
    expect(advance).toMatchObject({ service: 'read-status-service', traceId: report.traceId });
    await until(() => found('flush batch', (span) => linksTo(span, advance)) !== undefined);
    expect(found('flush batch', (span) => linksTo(span, advance))).toMatchObject({ service: 'sync-worker' });

    // Redis carries the trace; what clients get does not, and no span tells what was said, or by whose token.
    expect(world.commands.some((command) => command.includes(traceId))).toBe(true);
    expect(bob.heard.join('\n')).not.toContain(traceId);
    expect(bob.heard.join('\n')).not.toContain('"trace"');
    for (const secret of [text, ada.token, bob.token]) expect(collector.text).not.toContain(secret);

    const logs = join(world.folder, 'logs');
    const lines = readdirSync(logs)
      .filter((name) => name.startsWith('message-api'))
      .flatMap((name) => readFileSync(join(logs, name), 'utf8').split('\n'));
    const line = lines.find((said) => said.includes(requestId))!;
    expect(JSON.parse(line)).toMatchObject({ requestId, trace_id: traceId, span_id: post.spanId });
  }, 120_000);
});

describe('a message that is not traced', () => {
  const world = useStack({ OTEL_TRACES_EXPORTER: 'none' });

  it('makes no span and takes nothing through Redis, whatever its sender asks for', async () => {
    const { traceId } = await sendAndRead(world.stack);
    // Settled by the flush: what follows a message ends with it.
    await until(() => world.commands.some((command) => /"zrem" "\{u\d+\}:dirty"/i.test(command)));
    const traced = (command: string) => /:trace:|\\"trace\\"/.test(command) || command.includes(traceId);
    expect(world.commands.filter(traced)).toEqual([]);
    expect(world.collector.text).toBe('');
  }, 120_000);
});
