import {
  context,
  isSpanContextValid,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  TraceFlags,
  type Attributes,
  type Context,
  type Link,
  type Span,
  type SpanContext,
  type Tracer,
} from '@opentelemetry/api';

export type { Span };

/** W3C traceparent of a span that is sampled, 55 characters: all of a trace that goes from process to process. */
export type TraceParent = string;

const TRACE_PARENT = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/;
/** Of one span. What a batch holds beyond, its own spans still link to the batch. */
const LINKS_MAX = 100;

interface SpanOptions {
  kind?: 'server' | 'producer' | 'consumer';
  /** Ids and figures. Never what people wrote, and never a token. */
  attributes?: Attributes;
  /** Spans that this one comes of, without being part of them. */
  links?: readonly (TraceParent | undefined)[];
}

const kinds = { server: SpanKind.SERVER, producer: SpanKind.PRODUCER, consumer: SpanKind.CONSUMER };

/** Off until somebody says otherwise: then nothing below makes anything. */
let tracer: Tracer | null = null;

export function setTracer(given: Tracer | null): void {
  tracer = given;
}

/** Whether any spans are made. */
export const isTracing = (): boolean => tracer !== null;

/** Begins a trace, or goes on with a caller's. undefined: it is not sampled, or tracing is off. */
export function startTrace(name: string, options: SpanOptions, parent?: string): Span | undefined {
  if (!tracer) return undefined;
  const of = parent === undefined ? null : read(parent);
  return start(name, options, of ? trace.setSpanContext(ROOT_CONTEXT, of) : ROOT_CONTEXT);
}

/** A span of what others have led to: a child of the first, linked to the rest. undefined: none of them is traced. */
export function followUp(
  name: string,
  traces: readonly (TraceParent | undefined)[],
  options: SpanOptions = {},
): Span | undefined {
  if (!tracer) return undefined;
  const [parent, ...others] = traces.filter((traceParent) => traceParent !== undefined);
  const of = parent === undefined ? null : read(parent);
  if (!of) return undefined;
  const links = [...others, ...(options.links ?? [])];
  return start(name, { ...options, links }, trace.setSpanContext(ROOT_CONTEXT, of));
}

/** Says of spans, while they are under way, in which other they went on. */
export function linkOnward(spans: readonly (Span | undefined)[], next: Span | undefined): void {
  if (!next) return;
  for (const span of spans) span?.addLink({ context: next.spanContext() });
}

function start(
  name: string,
  { kind, attributes, links = [] }: SpanOptions,
  parent: Context,
): Span | undefined {
  const span = tracer!.startSpan(
    name,
    { kind: kind && kinds[kind], attributes, links: links.flatMap(linkTo).slice(0, LINKS_MAX) },
    parent,
  );
  return span.isRecording() ? span : undefined;
}

/** Runs something as part of a span and ends it; what is thrown is noted by its kind alone, since messages quote. */
export async function inSpan<Result>(span: Span | undefined, work: () => Promise<Result>): Promise<Result> {
  if (!span) return work();
  try {
    return await asPartOf(span, work);
  } catch (error) {
    fail(span, (error as { code?: string }).code ?? (error as Error).name);
    throw error;
  } finally {
    span.end();
  }
}

/** Notes that it went wrong, and by which kind of error. */
export function fail(span: Span | undefined, type: string): void {
  span?.setStatus({ code: SpanStatusCode.ERROR }).setAttribute('error.type', type);
}

export function asPartOf<Result>(span: Span, work: () => Result): Result {
  return context.with(trace.setSpan(ROOT_CONTEXT, span), work);
}

/** For others to go on with. undefined: there is no span, or it is not sampled. */
export function traceParentOf(span: Span | undefined): TraceParent | undefined {
  if (!span) return undefined;
  const { traceId, spanId, traceFlags } = span.spanContext();
  return traceFlags & TraceFlags.SAMPLED ? `00-${traceId}-${spanId}-01` : undefined;
}

/** For a line of the log. Field names are those that log stores look for. */
export function activeSpanIds(): { trace_id?: string; span_id?: string } {
  const span = activeSpan();
  if (!span) return {};
  const { traceId, spanId } = span.spanContext();
  return { trace_id: traceId, span_id: spanId };
}

/** What is under way here is part of. */
export const activeSpan = (): Span | undefined => (tracer ? trace.getActiveSpan() : undefined);

function read(traceParent: string): SpanContext | null {
  const [, traceId = '', spanId = '', flags = ''] = TRACE_PARENT.exec(traceParent) ?? [];
  const found = { traceId, spanId, traceFlags: parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(found) ? found : null;
}

function linkTo(traceParent: TraceParent | undefined): Link[] {
  const found = traceParent === undefined ? null : read(traceParent);
  return found ? [{ context: found }] : [];
}
