import type { Command } from '../command.js';
import { showText } from '../report/text.js';
import { writeReport } from '../report/write.js';
import { parseArguments, USAGE } from './arguments.js';
import { runConsistency } from './run.js';

/** Every pattern of delivering and reading, under replica lag. */
export const consistency: Command = {
  usage: USAGE,
  run: async (typed) => {
    const { out, ...options } = parseArguments(typed);
    const onProgress = (line: string) => void process.stderr.write(`${line}\n`);
    const { report, isRight } = await runConsistency({ ...options, durable: true, onProgress });
    const files = writeReport(report, 'consistency', out);
    process.stdout.write(`\n${showText(report)}\n`);
    process.stderr.write(`\nWritten to ${files.join(' and ')}\n`);
    return isRight ? 0 : 1;
  },
};
