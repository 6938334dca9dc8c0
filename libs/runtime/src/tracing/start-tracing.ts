import { setTimeout as delay } from 'node:timers/promises';
import { context, diag, DiagLogLevel, TraceFlags, type Link } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { detectResources, envDetector, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  SamplingDecision,
  TraceIdRatioBasedSampler,
  TracerProvider,
  type Sampler,
} from '@opentelemetry/sdk-trace';
import type { TracingConfig } from '../config.js';
import type { Runtime } from '../runtime.js';
import { setTracer } from './spans.js';

/** Spans that wait to be sent. Beyond, they are dropped: a collector that is slow must not cost us memory. */
const QUEUED_MAX = 2_048;
/** For what is left at the end. */
const LAST_EXPORT_MS = 2_000;

/**
 * Sends spans to a collector from now on, until the drain. Spans are made by hand where a message passes: hooks that
 * instrument libraries find none in a bundle, and would make dozens of spans of what here are six.
 */
export function startTracing(
  { url, sampler, ratio, exportDelayMs }: TracingConfig,
  { config, log, drain }: Pick<Runtime, 'config' | 'log' | 'drain'>,
): void {
  const say = (level: 'warn' | 'debug') => (what: string) => log[level]({ what }, 'tracing');
  const warn = say('warn');
  const debug = say('debug');
  diag.setLogger(
    { error: warn, warn, info: debug, debug, verbose: debug },
    { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true },
  );
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  const provider = new TracerProvider({
    resource: resourceFromAttributes({
      'service.name': config.service,
      'service.namespace': 'tidemark',
    }).merge(detectResources({ detectors: [envDetector] })),
    sampler: alsoWhereLinked(samplerOf(sampler, ratio)),
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: new OTLPTraceExporter({ url }),
        maxQueueSize: QUEUED_MAX,
        scheduledDelayMillis: exportDelayMs,
      }),
    ],
  });
  setTracer(provider.getTracer('tidemark'));
  // A collector that is away neither keeps a service from leaving in time nor makes its drain a failed one.
  const sendTheRest = () => provider.shutdown().catch((err: unknown) => log.warn({ err }, 'spans were lost'));
  drain.onDrain(
    'traces',
    () => Promise.race([sendTheRest(), delay(LAST_EXPORT_MS, undefined, { ref: false })]),
    'close',
  );
}

function samplerOf(name: TracingConfig['sampler'], ratio: number): Sampler {
  const [, parentBased, kind] = /^(parentbased_)?(.*)$/.exec(name)!;
  const root =
    kind === 'always_on'
      ? new AlwaysOnSampler()
      : kind === 'always_off'
        ? new AlwaysOffSampler()
        : new TraceIdRatioBasedSampler(ratio);
  return parentBased ? new ParentBasedSampler({ root }) : root;
}

/**
 * Samples besides what is linked to something sampled: a read of a traced message begins a trace of its own, as does
 * the flush that stores it, and at one in a hundred each the three would never meet.
 */
function alsoWhereLinked(sampler: Sampler): Sampler {
  const isSampled = ({ context: { traceFlags } }: Link) => (traceFlags & TraceFlags.SAMPLED) !== 0;
  return {
    shouldSample: (parent, traceId, name, kind, attributes, links) =>
      links.some(isSampled)
        ? { decision: SamplingDecision.RECORD_AND_SAMPLED }
        : sampler.shouldSample(parent, traceId, name, kind, attributes, links),
    toString: () => `AlsoWhereLinked{${sampler.toString()}}`,
  };
}
