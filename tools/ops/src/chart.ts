import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { projectFolder } from '@tidemark/engines';
import type { ObjectMeta } from 'kubernetes-types/meta/v1.js';
import ts from 'typescript';
import { parseAllDocuments, stringify } from 'yaml';

/** A Kubernetes object, as far as any of them is alike. */
export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta & { name: string };
  [field: string]: unknown;
}

const chart = join(projectFolder(), 'charts/tidemark');
const release = 'chat';

/** Where kubernetes-types has each kind that the chart makes. */
const typeOf: Record<string, string> = {
  'v1/ConfigMap': 'core/v1',
  'v1/Service': 'core/v1',
  'apps/v1/Deployment': 'apps/v1',
  'autoscaling/v2/HorizontalPodAutoscaler': 'autoscaling/v2',
  'batch/v1/Job': 'batch/v1',
  'networking.k8s.io/v1/Ingress': 'networking/v1',
  'networking.k8s.io/v1/NetworkPolicy': 'networking/v1',
  'policy/v1/PodDisruptionBudget': 'policy/v1',
};

/** What the chart makes of these values. Throws what helm says where it refuses them. */
export function render(helm: string, values: object = {}): KubernetesObject[] {
  const run = (...args: string[]) => {
    try {
      return execFileSync(helm, [...args, '--values', '-'], {
        ...{ input: stringify(values), encoding: 'utf8', stdio: 'pipe' as const },
        env: { PATH: process.env['PATH'], HOME: '/nonexistent' },
      });
    } catch (error) {
      throw new Error((error as { stderr?: string }).stderr || (error as Error).message);
    }
  };
  const rendered = run('template', release, chart, '--kube-version', '1.34.0');
  run('lint', chart, '--strict', '--quiet');
  return parseAllDocuments(rendered).flatMap((document) => {
    const [problem] = [...document.errors, ...document.warnings];
    if (problem) throw new Error(problem.message);
    return (document.toJS() as KubernetesObject | null) ?? [];
  });
}

/**
 * What does not fit the published types of Kubernetes, in the compiler's words: fields that there are not, or that are
 * missing, and values of another shape. The types are made of Kubernetes' own OpenAPI schemas, but know no patterns and no
 * bounds, and of most choices only that they are strings.
 */
export function misfits(objects: readonly KubernetesObject[]): string[] {
  const lines = objects.map((object, i) => {
    const place = typeOf[`${object.apiVersion}/${object.kind}`];
    if (!place) throw new Error(`no type is known for ${object.apiVersion} ${object.kind}`);
    const type = `import('kubernetes-types/${place}.js').${object.kind}`;
    return `export const object${i}: ${type} = ${JSON.stringify(object)};`;
  });
  const file = join(projectFolder(), 'tools/ops/src/rendered.ts');
  const options: ts.CompilerOptions = {
    ...{ noEmit: true, strict: true, skipLibCheck: true, types: [], lib: ['lib.es5.d.ts'] },
    ...{ module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext },
  };
  const host = ts.createCompilerHost(options);
  const fileExists = host.fileExists.bind(host);
  const getSourceFile = host.getSourceFile.bind(host);
  host.fileExists = (name) => name === file || fileExists(name);
  host.getSourceFile = (name, ...rest) =>
    name === file
      ? ts.createSourceFile(name, lines.join('\n'), ts.ScriptTarget.ES2022)
      : getSourceFile(name, ...rest);
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText, start, file: where }) => {
    const line = where && start !== undefined ? where.getLineAndCharacterOfPosition(start).line : -1;
    const { kind, metadata } = objects[line] ?? { kind: 'nothing', metadata: { name: '' } };
    return `${kind} ${metadata.name}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`;
  });
}
