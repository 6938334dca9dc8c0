import type { Command } from '../command.js';
import { showText } from '../report/text.js';
import { writeReport } from '../report/write.js';
import { parseArguments, USAGE } from './arguments.js';
import { measure } from './measure.js';

/** Every strategy of read status at the same work, and the customer's figure. */
export const readStatus: Command = {
  usage: USAGE,
  run: async (typed) => {
    const options = parseArguments(typed);
    const { report, isComplete } = await measure(options, (line) => process.stderr.write(`${line}\n`));
    const files = writeReport(report, 'read-status', options.out);
    process.stdout.write(`${showText(report)}\n\n${files.join('\n')}\n`);
    return isComplete ? 0 : 1;
  },
};
