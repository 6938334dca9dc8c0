import { existsSync, readdirSync } from 'node:fs';

const projects = ['apps', 'libs', 'tools'].flatMap((group) =>
  readdirSync(new URL(group, import.meta.url))
    .filter((name) => existsSync(new URL(`${group}/${name}/jest.config.mjs`, import.meta.url)))
    .map((name) => `<rootDir>/${group}/${name}`),
);

// PostgreSQL and Redis come up once for all projects. The hooks run outside Jest's module system, so the built ones
// are taken: `npm test` builds first.
const hook = (name) => {
  const built = `libs/testing/dist/jest/${name}.js`;
  return existsSync(new URL(built, import.meta.url)) ? `<rootDir>/${built}` : undefined;
};

export default {
  projects,
  testSequencer: '<rootDir>/jest.sequencer.mjs',
  // Most tests start processes: on a busy machine that takes more than Jest's five seconds.
  testTimeout: 60_000,
  globalSetup: hook('global-setup'),
  globalTeardown: hook('global-teardown'),
  coverageProvider: 'v8',
};
