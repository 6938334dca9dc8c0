import { ArgumentsError, parseArguments, USAGE } from './arguments.js';
import { benches } from './benches.js';
import { saveReport } from './report-file.js';
import { runBenches } from './runner.js';
import { showTable } from './table.js';

/** `npm run bench`: exit code 0 where every figure is valid, whatever it is; 1 where one is not; 2 where it was not run. */
export async function run(typed: string[]): Promise<void> {
  try {
    const names = benches.map(({ name }) => name);
    const options = parseArguments(typed, names);
    if (!options) {
      process.stdout.write(`${USAGE}\nThere are: ${names.join(', ')}\n`);
      return;
    }
    const startedMs = performance.now();
    const onProgress = (line: string) => process.stderr.write(`${line}\n`);
    const { results, machine } = await runBenches({ ...options, benches, onProgress });
    const file = saveReport({ options, machine, results });
    const about = Object.entries(machine).map(([name, value]) => `${name}: ${value}`);
    process.stdout.write(`\n${[...about, '', showTable(results)].join('\n')}\n\n`);
    const tookS = Math.round((performance.now() - startedMs) / 1000);
    process.stdout.write(`${tookS} s; every sample is in ${file}\n`);
    process.exitCode = results.every(({ rows }) => rows.every(({ valid }) => valid)) ? 0 : 1;
  } catch (error) {
    const wasTyped = error instanceof ArgumentsError;
    process.stderr.write(wasTyped ? `${error.message}\n\n${USAGE}\n` : `${(error as Error).stack}\n`);
    process.exitCode = wasTyped ? 2 : 1;
  }
}
