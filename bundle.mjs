/**
 * Makes one file of each service and all that it imports: it starts in half the time of some thousand files, and
 * `npm start`, the tests, the bench and the replay start many. `node bundle.mjs` after `tsc -b`; what is new stays.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { build } from 'esbuild';

/** The page, the one app beside them, is built by Vite. */
const services = readdirSync('apps').filter((app) => existsSync(`apps/${app}/dist/main.js`));
const bundles = services.map((service) => `apps/${service}/dist/bundle.js`);

/** What Nest, pg, ws and BullMQ try to load, and do without. */
const optional = [
  '@nestjs/microservices',
  '@nestjs/platform-express',
  '@fastify/multipart',
  '@fastify/view',
  'class-transformer',
  'class-validator',
  'pg-native',
  'bufferutil',
  'utf-8-validate',
  '@valkey/valkey-glide',
];

/** The Lua and SQL files stay where they are: they are read from beside the module, wherever its code now is. */
const filesBesideTheirModule = {
  name: 'files-beside-their-module',
  setup({ onLoad }) {
    onLoad({ filter: /libs\/(redis|database)\/dist\/.*\.js$/ }, ({ path }) => {
      const here = JSON.stringify(relative('apps/any/dist', path));
      const code = readFileSync(path, 'utf8');
      return { contents: code.replaceAll('import.meta.url', `new URL(${here}, import.meta.url)`) };
    });
  },
};

const changedMs = (path) => statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
const codeIn = (folder) =>
  readdirSync(folder, { recursive: true })
    .filter((path) => path.endsWith('.js'))
    .map((path) => join(folder, path));

const projects = [
  ...readdirSync('libs').map((lib) => `libs/${lib}`),
  ...services.map((name) => `apps/${name}`),
];
const inputs = [
  'bundle.mjs',
  'package-lock.json',
  ...projects.flatMap((project) => codeIn(`${project}/dist`)),
];
const bundledMs = Math.min(...bundles.map(changedMs));

if (inputs.some((path) => !bundles.includes(path) && changedMs(path) > bundledMs)) {
  await build({
    entryPoints: services.map((service) => `apps/${service}/dist/main.js`),
    outdir: '.',
    outbase: '.',
    entryNames: '[dir]/bundle',
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    sourcemap: true,
    sourcesContent: false,
    external: optional.flatMap((name) => [name, `${name}/*`]),
    // For the CommonJS packages among them.
    banner: {
      js: [
        `import { createRequire as requireFrom } from 'node:module';`,
        `import { fileURLToPath as pathOf } from 'node:url';`,
        'const require = requireFrom(import.meta.url);',
        `const __filename = pathOf(import.meta.url), __dirname = pathOf(new URL('.', import.meta.url));`,
      ].join(' '),
    },
    plugins: [filesBesideTheirModule],
  });
}
