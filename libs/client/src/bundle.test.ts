import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';

const budgetBytes = 13 * 1024;

/** As an application's bundler sees it, for a browser. */
async function bundle(code: string, external: string[]): Promise<{ text: string; inputs: string[] }> {
  const { outputFiles, metafile } = await build({
    stdin: { contents: code, resolveDir: __dirname, loader: 'ts' },
    ...{ bundle: true, minify: true, format: 'esm', platform: 'browser', target: 'es2022' },
    ...{ write: false, metafile: true, external, logLevel: 'silent' },
    conditions: ['@tidemark/source'],
    // What is published is compiled by this.
    tsconfig: join(__dirname, '../tsconfig.build.json'),
  });
  return { text: outputFiles[0]!.text, inputs: Object.keys(metafile.inputs) };
}

describe('the client in a browser', () => {
  it(`is at most ${budgetBytes} bytes, gzipped, beside socket.io-client`, async () => {
    const { text } = await bundle(`export * from './index.js'`, ['socket.io-client']);
    expect(text).toContain('socket.io-client');
    expect(gzipSync(text, { level: 9 }).length).toBeLessThanOrEqual(budgetBytes);
  });

  it('brings no schemas, and nothing of Node', async () => {
    // esbuild fails on a module that a browser has not got.
    const { text, inputs } = await bundle(`export * from './index.js'`, []);
    expect(inputs.filter((path) => /zod|libs\/contracts/.test(path))).toEqual([]);
    const imported = [...text.matchAll(/(?:from|require\()\s*["']([^"']+)["']/g)].map(([, name]) => name!);
    expect(imported.filter((name) => name.startsWith('node:') || builtinModules.includes(name))).toEqual([]);
    await expect(bundle(`import 'node:fs'`, [])).rejects.toThrow('node:fs');
  });

  it('leaves behind what is not used', async () => {
    const { text } = await bundle(`import { ChatError } from './index.js'; throw ChatError`, []);
    expect(text.length).toBeLessThan(1_500);
    // The package says so to bundlers that believe it.
    const { sideEffects } = jest.requireActual<{ sideEffects: boolean }>(join(__dirname, '../package.json'));
    expect(sideEffects).toBe(false);
  });
});
