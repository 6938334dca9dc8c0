import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectFolder } from '@tidemark/engines';
import { parse } from 'yaml';
import { faults } from './promql.js';
import { registeredMetrics, type RegisteredMetric } from './registered-metrics.js';

const read = (name: string): string => readFileSync(join(projectFolder(), name), 'utf8');
const dashboard = JSON.parse(read('docker/grafana/dashboard.json')) as {
  panels: { id: number; title: string; targets?: { expr: string }[] }[];
};
const alerts = (
  parse(read('docker/prometheus/alerts.yaml')) as {
    groups: { rules: { alert: string; expr: string; annotations: { runbook: string } }[] }[];
  }
).groups.flatMap(({ rules }) => rules);

let registered: Map<string, RegisteredMetric>;
beforeAll(async () => {
  registered = await registeredMetrics();
});
const of = (expression: string) => faults(expression, registered);

describe('the metrics of the services', () => {
  it('are found in their sources, with kind and labels', () => {
    expect(registered.size).toBeGreaterThan(40);
    expect(registered.get('tidemark_sends_total')).toMatchObject({ type: 'counter' });
    expect(registered.get('tidemark_reads_total')?.labels).toEqual(
      expect.arrayContaining(['served_by', 'reason']),
    );
    expect(registered.get('tidemark_append_seconds')?.type).toBe('histogram');
    expect(registered.get('process_cpu_seconds_total')).toMatchObject({ type: 'counter' });
  });

  it('are named by convention: units last, and counters a total', () => {
    for (const [name, { type }] of registered) {
      if (!name.startsWith('tidemark_')) continue;
      expect([name, name.endsWith('_total')]).toEqual([name, type === 'counter']);
      if (type === 'histogram') expect(name).toMatch(/_(seconds|size)$/);
    }
  });
});

describe('an expression', () => {
  it.each([
    ['tidemark_invented_total', ['tidemark_invented_total: no service has such a metric']],
    ['rate(tidemark_sends[5m])', ['tidemark_sends: no service has such a metric']],
    ['tidemark_append_seconds', ['tidemark_append_seconds: no service has such a metric']],
    ['sum(tidemark_sends_total{colour="red"})', ['tidemark_sends_total: has no label colour']],
    [
      ...(['sum by (colour) (tidemark_connections)'] as const),
      ['sum by (colour) (tidemark_connections): none of it has a label colour'],
    ],
    ['sum(rate(tidemark_connections[5m]', [expect.stringContaining('does not parse')]],
    ['1 + 1', ['1 + 1: asks for no metric']],
  ])('%s is found wrong', (expression, why) => expect(of(expression)).toEqual(expect.arrayContaining(why)));
});

describe('the dashboard', () => {
  it.each(
    dashboard.panels.filter(({ targets }) => targets).map(({ title, targets }) => [title, targets!] as const),
  )('asks in "%s" for what the services show', (_, targets) =>
    expect(targets.flatMap(({ expr }) => of(expr))).toEqual([]),
  );

  it('has each panel once', () => {
    expect(new Set(dashboard.panels.map(({ id }) => id)).size).toBe(dashboard.panels.length);
  });
});

describe('the alerts', () => {
  const headings = read('docs/operating.md')
    .split('\n')
    .filter((line) => line.startsWith('#'))
    .map((line) =>
      line
        .replace(/^#+ /, '')
        .toLowerCase()
        .replace(/[^\w -]/g, '')
        .replaceAll(' ', '-'),
    );

  it.each(alerts.map(({ alert, ...rule }) => [alert, rule] as const))(
    '%s asks for what the services show, and says where to read what to do',
    (_, { expr, annotations: { runbook } }) => {
      expect(of(expr)).toEqual([]);
      expect(headings).toContain(runbook);
    },
  );
});

describe('the autoscalers', () => {
  it('ask the adapter for what the services show', () => {
    const { rules } = parse(read('docker/prometheus/adapter.yaml')) as {
      rules: Record<'custom' | 'external', { seriesQuery: string }[]>;
    };
    for (const { seriesQuery } of [...rules.custom, ...rules.external]) {
      // `namespace` and `pod` are given by who scrapes.
      expect(of(seriesQuery.replace(/\{.*/, ''))).toEqual([]);
    }
  });
});
