// Another Node process that starts a stack, says what it started, and waits to be killed.
const { entry, script } = JSON.parse(process.argv[2]);
const { startStack } = await import(entry);
const stack = await startStack({ durable: false, scriptOf: () => script });
const services = Object.values(stack.services).flat();
const pids = [stack.postgres, stack.redis, ...services].map(({ pid }) => pid);
process.stdout.write(`${JSON.stringify(pids)}\n`);
setInterval(() => {}, 60_000);
