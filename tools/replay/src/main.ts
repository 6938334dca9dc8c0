import { ArgumentsError, parseArguments, USAGE } from './arguments.js';
import { isFlawless, showReport } from './report.js';
import { runReplay } from './run.js';

// `npm run replay -- <folder>`: exit code 0 where nothing was wrong, 1 where something was, 2 where it was not run.
try {
  const options = parseArguments(process.argv.slice(2));
  if (!options) {
    process.stdout.write(`${USAGE}\n`);
  } else {
    const report = await runReplay({ ...options, onProgress: (line) => process.stderr.write(`${line}\n`) });
    const { findings, troubles } = report;
    if (troubles.length > 0)
      process.stderr.write(`\nRefused or failed, and asked again:\n${troubles.join('\n')}\n`);
    if (findings.length > 0) process.stderr.write(`\nFound:\n${findings.join('\n')}\n`);
    process.stdout.write(`\n${showReport(report)}\n`);
    process.exitCode = isFlawless(report) ? 0 : 1;
  }
} catch (error) {
  process.stderr.write(
    error instanceof ArgumentsError ? `${error.message}\n\n${USAGE}\n` : `${(error as Error).stack}\n`,
  );
  process.exitCode = error instanceof ArgumentsError ? 2 : 1;
}
