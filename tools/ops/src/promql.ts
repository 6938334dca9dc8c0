import { parser } from '@prometheus-io/lezer-promql';
import type { RegisteredMetric } from './registered-metrics.js';

/** What Prometheus has of every target by itself. */
const ofPrometheus = new Map<string, RegisteredMetric>([
  ['up', { type: 'gauge', labels: ['service', 'instance', 'job'] }],
]);
const ofHistograms = /_(bucket|sum|count)$/;

interface Expression {
  selectors: { metric: string; labels: string[] }[];
  /** What is summed or joined by. */
  grouping: string[];
  /** Where it does not parse, in characters. */
  errors: number[];
}

/** What is wrong with an expression, in words: its syntax, and what it asks for that nothing exposes. */
export function faults(expression: string, registered: ReadonlyMap<string, RegisteredMetric>): string[] {
  // What Grafana puts in before it asks.
  const asked = expression.replaceAll('$__rate_interval', '5m');
  const { selectors, grouping, errors } = read(asked);
  const found = errors.map((at) => `${expression}: does not parse at ${at}`);
  if (selectors.length === 0) found.push(`${expression}: asks for no metric`);
  const there = new Set(['le']);
  for (const { metric, labels } of selectors) {
    const base = metric.replace(ofHistograms, '');
    const isPart = registered.get(base)?.type === 'histogram' && base !== metric;
    const known = isPart ? registered.get(base) : (ofPrometheus.get(metric) ?? registered.get(metric));
    if (!known || (known.type === 'histogram' && !isPart)) {
      found.push(`${metric}: no service has such a metric`);
      continue;
    }
    for (const label of known.labels) there.add(label);
    for (const label of labels) {
      if (!known.labels.includes(label) && !(isPart && label === 'le')) {
        found.push(`${metric}: has no label ${label}`);
      }
    }
  }
  const strange = grouping.filter((label) => found.length === 0 && !there.has(label));
  return [...found, ...strange.map((label) => `${expression}: none of it has a label ${label}`)];
}

function read(expression: string): Expression {
  const read: Expression = { selectors: [], grouping: [], errors: [] };
  parser.parse(expression).iterate({
    enter({ type, from, to, node }) {
      const text = expression.slice(from, to);
      const selector = read.selectors.at(-1);
      if (type.isError) read.errors.push(from);
      else if (type.name === 'VectorSelector') read.selectors.push({ metric: '', labels: [] });
      else if (type.name === 'Identifier' && selector?.metric === '') selector.metric = text;
      else if (type.name === 'LabelName') {
        (node.parent?.name === 'GroupingLabels' ? read.grouping : (selector?.labels ?? [])).push(text);
      }
    },
  });
  return read;
}
