import { ArgumentsError, parseArguments, USAGE } from './arguments.js';
import { benches } from './benches.js';
import { acceptRatios, compareRatios, readRatios, saveRatios } from './ratios.js';
import { saveReport } from './report-file.js';
import { runBenches, type RowResult } from './runner.js';
import { showCompared, showTable } from './table.js';

/**
 * `npm run bench`: exit code 0 where every figure is valid and no ratio has fallen behind the accepted one; 1 where
 * one is not or has; 2 where it was not run.
 */
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
    const rows = results.flatMap((result) => result.rows);
    const fell = options.size !== 'quick' && holdToAccepted(rows, options.accept);
    process.exitCode = rows.every(({ valid }) => valid) && !fell ? 0 : 1;
  } catch (error) {
    const wasTyped = error instanceof ArgumentsError;
    process.stderr.write(wasTyped ? `${error.message}\n\n${USAGE}\n` : `${(error as Error).stack}\n`);
    process.exitCode = wasTyped ? 2 : 1;
  }
}

/** Whether a row has fallen. Where its figures are accepted, none has. */
function holdToAccepted(rows: readonly RowResult[], accept: boolean): boolean {
  const accepted = readRatios();
  if (accept) saveRatios(acceptRatios(rows, accepted));
  const compared = compareRatios(rows, accepted);
  process.stdout.write(`\n${showCompared(compared, accept)}\n`);
  return !accept && compared.some(({ outcome }) => outcome === 'fallen');
}
