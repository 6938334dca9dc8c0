import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '@tidemark/engines';
import { Metrics } from '@tidemark/runtime';
import ts from 'typescript';

export interface RegisteredMetric {
  type: 'counter' | 'gauge' | 'histogram';
  labels: string[];
}

const kinds = ['counter', 'gauge', 'histogram'];

/**
 * What the services show at /metrics, read from their sources: each call of `Metrics` says name, kind and labels in
 * words. Those that prom-client adds by itself are asked of a registry.
 */
export async function registeredMetrics(): Promise<Map<string, RegisteredMetric>> {
  const found = new Map<string, RegisteredMetric>();
  for (const folder of ['apps', 'libs']) {
    const names = readdirSync(join(projectFolder(), folder), { recursive: true, encoding: 'utf8' });
    for (const name of names) {
      if (!/\/src\/.*\.ts$/.test(name) || name.includes('node_modules') || name.endsWith('.test.ts'))
        continue;
      const text = readFileSync(join(projectFolder(), folder, name), 'utf8');
      if (text.includes('metrics')) metricsIn(text, found);
    }
  }
  for (const { name, type } of await new Metrics('message-api').registry.getMetricsAsJSON()) {
    found.set(name, { type: String(type) as RegisteredMetric['type'], labels: [] });
  }
  // Of each sample; the last two are given by who scrapes.
  for (const { labels } of found.values()) labels.push('service', 'instance', 'job');
  return found;
}

function metricsIn(text: string, found: Map<string, RegisteredMetric>): void {
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && ts.isPropertyAccessExpression(node.expression)) {
      const { expression, name } = node.expression;
      const [first, , third] = node.arguments;
      if (
        /(^|\.)metrics$/.test(expression.getText()) &&
        kinds.includes(name.text) &&
        first &&
        ts.isStringLiteral(first)
      ) {
        const labels =
          third && ts.isArrayLiteralExpression(third) ? third.elements.filter(ts.isStringLiteral) : [];
        found.set(`tidemark_${first.text}`, {
          type: name.text as RegisteredMetric['type'],
          labels: labels.map((label) => label.text),
        });
      }
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile('metrics.ts', text, ts.ScriptTarget.ES2023, true));
}
