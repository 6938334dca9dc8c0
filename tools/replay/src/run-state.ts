import type { CursorLedger } from '@tidemark/testing';
import type { Answers } from './answers.js';
import type { Api } from './api.js';
import { type Quantiles } from './quantiles.js';

/** What everybody in a replay shares. */
export interface RunState {
  api: Api;
  ledger: CursorLedger;
  answers: Answers;
  /** When a send went out first, by its clientId; performance.now(). */
  sentAtMs: Map<string, number>;
  sendToReceivedMs: Quantiles;
  tally: Tally;
  ghosts: string[];
}

/** Things that happened, by number. */
export interface Tally {
  sent: number;
  joins: number;
  parts: number;
  reads: number;
  refusedReads: number;
  markUnreads: number;
  sendsWithReadTo: number;
  connects: number;
  resumes: number;
  reportReads: number;
  ghostChecks: number;
}

export const noTally = (): Tally => ({
  sent: 0,
  joins: 0,
  parts: 0,
  reads: 0,
  refusedReads: 0,
  markUnreads: 0,
  sendsWithReadTo: 0,
  connects: 0,
  resumes: 0,
  reportReads: 0,
  ghostChecks: 0,
});
