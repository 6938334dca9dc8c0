import { createLog, type Log } from '../log.js';

/** A log whose lines can be looked at. */
export function recordingLog(): { log: Log; lines: Record<string, unknown>[]; text: () => string } {
  const written: string[] = [];
  const log = createLog(
    { service: 'message-api', logLevel: 'trace' },
    { write: (line) => void written.push(line) },
  );
  return {
    log,
    get lines() {
      return written.map((line) => JSON.parse(line) as Record<string, unknown>);
    },
    text: () => written.join(''),
  };
}
