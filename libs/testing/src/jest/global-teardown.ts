import { running } from './handover.js';

/** Stops what global-setup started. Should this not be reached, the engines' own watchers do. */
export default async function globalTeardown(): Promise<void> {
  await running.tidemarkTestStack?.stop();
  running.tidemarkTestStack = undefined;
}
