import { join } from 'node:path';
import { FolderInUseError, freePort, NoEngineError, projectFolder, withProgress } from '@tidemark/engines';
import { parseArguments, USAGE } from './arguments.js';
import { type Community, findCommunity, isEmpty, seedCommunity } from './community.js';
import { environmentForStack } from './environment.js';
import { guideTo } from './guide.js';
import { keepEnginesUp } from './keep-engines-up.js';
import { StackOptionsError } from './options.js';
import { onStopSignal } from './signals.js';
import { buildWeb } from './site/build-web.js';
import { originsWith, Site } from './site/site.js';
import { AlreadyRunningError } from './stack-folder.js';
import { startStack, type Stack } from './stack.js';

// `npm start`: the whole system on this machine, until Ctrl-C.

/** Where the web app is served, or the next free one. */
const SITE_PORT = 3000;

const say = (line: string) => process.stdout.write(`${line}\n`);
// Whoever read our output may go away; the stack stays.
process.stdout.on('error', () => {});
process.stderr.on('error', () => {});

let stack: Stack | undefined;
let site: Site | undefined;
let stopping = false;
let exitCode = 0;

onStopSignal({
  first: () => {
    stopping = true;
    // Still starting: what has been started ends with us.
    if (!stack) process.exit(1);
    say('\nStopping. Ctrl-C again does not wait for what is under way.');
    stopAll().then(
      () => process.exit(exitCode),
      (error: Error) => fail(error),
    );
  },
  second: () => {
    say('Stopping at once.');
    exitCode = 1;
    void stack?.kill(); // the end of the stop under way is awaited above
  },
});

try {
  const typed = parseArguments(process.argv.slice(2));
  if (typed === null) {
    say(USAGE);
    process.exit(0);
  }
  const project = projectFolder();
  const dataDir = join(project, '.tidemark');
  const { web = true, ...wanted } = typed;
  const environment = environmentForStack();
  // Nobody whom we could give a token to: an identity provider does that.
  const folder = web && !process.env['JWKS_URL'] ? await webIn(project) : null;
  const port = await freePort(SITE_PORT);
  say('Starting Tidemark: PostgreSQL, Redis and the four services.');
  stack = await startStack({
    ...environment,
    ...wanted,
    ...(folder && { env: originsWith(environment.env, port) }),
    dataDir,
    preferredPorts: true,
    onProgress: say,
  });
  keepEnginesUp(stack, { isStopping: () => stopping, onProgress: say });
  const seeded = await community(stack);
  if (folder !== null) site = await Site.start(stack, { folder, port });
  say(guideTo(stack, seeded, { project, logs: join(dataDir, 'logs'), site: site?.url }));
} catch (error) {
  // A stop cuts off whatever was still being asked.
  if (!stopping) fail(error as Error);
}

async function community(running: Stack): Promise<Community | null> {
  if (!(await isEmpty(running))) return findCommunity(running);
  if (process.env['JWKS_URL']) return null; // nobody whom our tokens would convince
  return withProgress('Seeding a small community', say, () => seedCommunity(running));
}

/** The built web app; without one the rest works all the same. */
async function webIn(project: string): Promise<string | null> {
  return buildWeb(project, say).catch((error: Error) => {
    say(`The web app is left out: ${error.message}`);
    return null;
  });
}

/** The page first: it asks what is about to go. */
async function stopAll(): Promise<void> {
  await site?.stop();
  await stack?.stop();
}

/** What was typed wrong or is missing here is said in a line; anything else is ours, and wants its stack. */
function fail(error: Error): void {
  stopping = true;
  const expected = [StackOptionsError, AlreadyRunningError, FolderInUseError, NoEngineError];
  const isExpected = expected.some((kind) => error instanceof kind);
  process.stderr.write(`npm start: ${isExpected ? error.message : (error.stack ?? error.message)}\n`);
  void stopAll().finally(() => process.exit(1));
}
