// Another Node process that starts a stack, says what it started, and waits to be killed.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const { entry, options, script } = JSON.parse(process.argv[2]);
const { startStack } = await import(createRequire(import.meta.url).resolve(entry));
const stack = await startStack({ ...options, scriptOf: () => script });
process.stdout.write(
  JSON.stringify({
    engines: [stack.postgres.pid, stack.redis.pid],
    folders: [stack.postgres.folder.path, stack.redis.folder.path],
    description: JSON.parse(readFileSync(options.stackFile, 'utf8')),
  }) + '\n',
);
setInterval(() => {}, 60_000);
