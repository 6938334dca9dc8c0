import { createRuntime } from '../runtime.js';
import { testConfig } from '../test-support/config.js';
import { createLog } from '../log.js';
import { followUp, inSpan, startTrace, traceParentOf } from './spans.js';
import { startTracing } from './start-tracing.js';

const [traceId, spanId] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
const sampled = `00-${traceId}-${spanId}-01`;
/** Nobody listens there. */
const collector = 'http://127.0.0.1:1';

interface RecordedSpan {
  links: { context: { spanId: string } }[];
  parentSpanContext?: { spanId: string };
  status: { code: number };
  attributes: Record<string, unknown>;
}
const recorded = (span: unknown) => span as RecordedSpan;

describe('spans', () => {
  it('are not made where tracing is off', () => {
    expect(testConfig().tracing).toBeNull();
    expect(startTrace('x', {}, sampled)).toBeUndefined();
    expect(followUp('x', [sampled])).toBeUndefined();
  });

  describe('where one in a million is sampled', () => {
    const config = testConfig({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector,
      OTEL_TRACES_SAMPLER: 'parentbased_traceidratio',
      OTEL_TRACES_SAMPLER_ARG: '0.000001',
    });
    const runtime = createRuntime(config);
    beforeAll(() => startTracing(config.tracing!, runtime));

    it('go on with what is sampled, and with nothing else', () => {
      expect(traceParentOf(startTrace('x', {}, sampled))).toMatch(`00-${traceId}-`);
      expect(startTrace('x', {}, sampled.replace(/1$/, '0'))).toBeUndefined();
      for (const nonsense of [
        '',
        'x',
        `00-${'0'.repeat(32)}-${spanId}-01`,
        `${sampled}${'0'.repeat(9_999)}`,
      ]) {
        expect(startTrace('x', {}, nonsense)).toBeUndefined();
        expect(followUp('x', [nonsense])).toBeUndefined();
      }
    });

    it('begin a trace that is sampled where it is linked to one that is', () => {
      expect(startTrace('x', { links: [undefined, 'nonsense'] })).toBeUndefined();
      const span = startTrace('x', { links: [undefined, sampled] });
      expect(recorded(span).links).toMatchObject([{ context: { traceId, spanId } }]);
      expect(span!.spanContext().traceId).not.toBe(traceId);
    });

    it('of a batch are part of the first that is traced, and linked to the others, of many to some', () => {
      const others = Array.from({ length: 200 }, (_, i) => sampled.replace('203331', String(100_000 + i)));
      const span = recorded(followUp('x', [undefined, sampled, undefined, ...others]));
      expect(span.parentSpanContext).toMatchObject({ spanId });
      expect(span.links).toHaveLength(100);
    });

    it('say of what went wrong its kind, never its words', async () => {
      const span = startTrace('x', {}, sampled)!;
      const failing = inSpan(span, async () => {
        throw Object.assign(new Error('Key (text)=(s3cret)'), { code: '23505' });
      });
      await expect(failing).rejects.toThrow('s3cret');
      expect(recorded(span).status.code).toBe(2);
      expect(recorded(span).attributes).toEqual({ 'error.type': '23505' });
      expect(JSON.stringify(recorded(span).status)).not.toContain('s3cret');
    });

    it('are named in the lines of the log that are written in them', async () => {
      const lines: string[] = [];
      const log = createLog({ ...config, logLevel: 'info' }, { write: (line) => void lines.push(line) });
      log.info('before');
      await inSpan(startTrace('x', {}, sampled), async () => log.info('within'));
      expect(lines.map((line) => (JSON.parse(line) as { trace_id?: string }).trace_id)).toEqual([
        undefined,
        traceId,
      ]);
    });

    it('keep no process from leaving in time, whatever has become of the collector', async () => {
      startTrace('x', {}, sampled)!.end();
      expect(await runtime.drain.drain()).toBe(true);
    });
  });
});
