import { readdirSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { createProjectGraphAsync } from '@nx/devkit';
import nx from '@nx/eslint-plugin';
import prettier from 'eslint-config-prettier';
import { createNodeResolver, importX } from 'eslint-plugin-import-x';
import globals from 'globals';
import ts from 'typescript-eslint';

// The boundary rule reads the project graph from Nx's cache and skips itself, with no error, where there is none.
await createProjectGraphAsync();

const libs = ['contracts', 'runtime', 'database', 'redis', 'channel-log'];
const everyLib = [...libs, 'engines', 'testing'];

/** Who may import whom, in code that runs in production. No app imports another. */
const mayImport = {
  contracts: [],
  client: ['contracts'],
  web: ['client', 'contracts'],
  engines: [],
  runtime: ['contracts'],
  database: ['contracts', 'runtime'],
  redis: ['contracts', 'runtime'],
  'channel-log': ['contracts', 'runtime', 'database', 'redis'],
  testing: [...libs, 'engines'],
  app: libs,
  stack: ['engines', 'contracts', 'runtime', 'database', 'redis'],
  replay: [...everyLib, 'stack'],
  tool: [...everyLib, 'client', 'stack', 'replay'],
};

/**
 * What tests may import besides. A lib below `testing` takes the engines alone: `testing` imports it, and the
 * build of one needs the other first.
 */
const testsMayImportToo = {
  runtime: ['engines'],
  database: ['engines'],
  redis: ['engines'],
  'channel-log': ['engines'],
  app: ['testing'],
};

const apps = readdirSync(new URL('apps', import.meta.url)).map((name) => `@tidemark/${name}`);

const boundaries = (allowed) => [
  'error',
  {
    enforceBuildableLibDependency: false,
    depConstraints: Object.entries(allowed).map(([name, others]) => ({
      sourceTag: `type:${name}`,
      onlyDependOnLibsWithTags: others.map((other) => `type:${other}`),
    })),
  },
];

const tests = ['**/*.test.ts', '**/src/test-support/**/*.ts'];
const withTests = Object.fromEntries(
  Object.entries(mayImport).map(([name, others]) => [name, [...others, ...(testsMayImportToo[name] ?? [])]]),
);

export default ts.config(
  { ignores: ['**/dist/', '**/coverage/', '.nx/', '.tidemark/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.{ts,tsx}'],
    extends: [ts.configs.recommendedTypeChecked],
    // One program for all: with one for each project's build and tests, every lib is checked some forty times.
    languageOptions: {
      parserOptions: { project: './tsconfig.lint.json', tsconfigRootDir: import.meta.dirname },
    },
    plugins: { '@nx': nx, 'import-x': importX },
    settings: {
      'import-x/extensions': ['.ts', '.tsx'],
      'import-x/parsers': { '@typescript-eslint/parser': ['.ts', '.tsx'] },
      'import-x/resolver-next': [
        createNodeResolver({
          extensions: ['.ts', '.tsx', '.js', '.json'],
          extensionAlias: { '.js': ['.ts', '.tsx', '.js'] },
          conditionNames: ['@tidemark/source', 'import', 'node', 'default'],
        }),
      ],
    },
    rules: {
      '@nx/enforce-module-boundaries': boundaries(mayImport),
      'import-x/no-cycle': ['error', { ignoreExternal: true }],
      'import-x/no-default-export': 'error',
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // A Nest port, a fake or a hook is async by its signature, not by its body.
      '@typescript-eslint/require-await': 'off',
      '@typescript-eslint/restrict-template-expressions': [
        'error',
        { allowNumber: true, allowBoolean: true },
      ],
      eqeqeq: 'error',
      'no-restricted-syntax': [
        'error',
        {
          selector: 'TSInterfaceDeclaration[id.name=/^I[A-Z]/]',
          message: 'Name an interface for what it is, without the I.',
        },
        {
          selector: 'CallExpression[callee.name="forwardRef"]',
          message: 'Two services that need each other are one service, or lack a third.',
        },
      ],
      // An app exports nothing, and its name resolves to nothing: say so before the compiler does.
      'no-restricted-imports': [
        'error',
        { patterns: [{ group: apps, message: 'Apps meet in Redis and in the contracts, never in code.' }] },
      ],
      // Only config.ts reads the environment, so that one file tells what can be set.
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Read the environment in config.ts.' },
      ],
    },
  },
  {
    files: [
      'apps/*-{api,gateway,service,worker}/src/**/*.ts',
      'libs/{channel-log,database,redis,runtime}/src/**/*.ts',
    ],
    rules: {
      'no-restricted-properties': [
        'error',
        { object: 'process', property: 'env', message: 'Read the environment in config.ts.' },
        {
          object: 'Date',
          property: 'now',
          message:
            'Clocks are set. How long: performance.now(). When, for others too: the time of PostgreSQL or Redis.',
        },
      ],
    },
  },
  {
    files: ['**/config.ts', 'tools/**/*.ts', 'libs/testing/**/*.ts', ...tests],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: tests,
    rules: {
      '@nx/enforce-module-boundaries': boundaries(withTests),
      // Answers of a service under test are looked at before they are known.
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
    },
  },
  {
    files: ['apps/web/src/**/*.tsx'],
    rules: {
      'no-restricted-syntax': [
        'error',
        {
          selector: 'JSXAttribute[name.name="dangerouslySetInnerHTML"]',
          message: 'What people write is text.',
        },
      ],
    },
  },
  {
    // Vite reads its configuration from a default export.
    files: ['apps/web/vite.config.ts'],
    rules: { 'import-x/no-default-export': 'off' },
  },
  {
    // Jest finds its global hooks by their default export.
    files: ['libs/testing/src/jest/*.ts'],
    rules: { 'import-x/no-default-export': 'off' },
  },
  {
    // The client and a browser import the contracts: nothing in any of them may need Node.
    files: ['libs/{client,contracts}/src/**/*.ts', 'apps/web/src/**/*.{ts,tsx}'],
    ignores: tests,
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: builtinModules.map((name) => ({ name, message: 'This runs in a browser too.' })),
          patterns: [{ group: ['node:*'], message: 'This runs in a browser too.' }],
        },
      ],
      'no-restricted-globals': [
        'error',
        ...Object.keys(globals.nodeBuiltin)
          .filter((name) => !(name in globals.browser))
          .map((name) => ({ name, message: 'This runs in a browser too.' })),
      ],
    },
  },
  {
    files: ['libs/client/src/**/*.ts', 'apps/web/src/**/*.{ts,tsx}'],
    ignores: tests,
    rules: {
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          paths: [
            {
              name: '@tidemark/contracts',
              allowTypeImports: true,
              message: 'Types alone: the client brings no schemas to the browser.',
            },
          ],
        },
      ],
    },
  },
  { files: ['**/*.{js,mjs}'], languageOptions: { globals: globals.node } },
  prettier,
);
