import type { Command } from './command.js';

/** Loaded when asked for: each brings much of the project along. */
export const commands: Record<string, () => Promise<Command>> = {
  consistency: async () => (await import('./consistency/command.js')).consistency,
  'data-structures': async () => (await import('./data-structures/command.js')).dataStructures,
  'read-status': async () => (await import('./read-status/command.js')).readStatus,
};
