import type { Command } from '../command.js';
import { parseArguments, USAGE } from './arguments.js';

/** Every pattern of delivering and reading, under replica lag. */
export const consistency: Command = {
  usage: USAGE,
  run: async (typed) => {
    parseArguments(typed);
    throw new Error('Under way');
  },
};
