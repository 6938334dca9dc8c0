import { ArgumentsError, type Command } from './command.js';
import { commands } from './commands.js';

type Commands = Readonly<Record<string, () => Promise<Command>>>;

/**
 * `npm run lab -- <command> [options]`. Exit code 0 where what was measured is as it should be, 1 where it is not, 2
 * where nothing was measured.
 */
export async function dispatch(typed: readonly string[], known: Commands = commands): Promise<number> {
  const [name = '', ...rest] = typed;
  const usage = `npm run lab -- ${Object.keys(known).join(' | ')} [options]; --help after one for its options`;
  if (name === '--help' || name === '-h') return say('stdout', 0, usage);
  const load = Object.hasOwn(known, name) ? known[name] : undefined;
  if (!load)
    return say('stderr', 2, `${name === '' ? 'Name a command' : `There is no "${name}"`}\n\n${usage}`);

  const command = await load();
  if (rest.includes('--help') || rest.includes('-h')) return say('stdout', 0, command.usage);
  try {
    return await command.run(rest);
  } catch (error) {
    if (error instanceof ArgumentsError) return say('stderr', 2, `${error.message}\n\n${command.usage}`);
    return say('stderr', 2, (error as Error).stack ?? String(error));
  }
}

function say(where: 'stdout' | 'stderr', code: number, text: string): number {
  process[where].write(`${text}\n`);
  return code;
}
