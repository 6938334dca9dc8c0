import type { Envelope } from '@tidemark/contracts';
import type { CatchUp } from './catch-up.js';
import type { Channel } from './channel.js';
import type { Connection } from './connection.js';
import type { Http } from './http.js';
import type { ReadReports } from './read-reports.js';
import type { Recounts } from './recounts.js';

/** @internal What a channel needs of its chat. */
export interface ChannelSurroundings {
  userId: string;
  passive: boolean;
  http: Http;
  connection: Connection;
  reads: ReadReports;
  recounts: Recounts;
  catchUp: CatchUp;
  changed: () => void;
  left: (channel: Channel) => void;
  said: (channel: Channel, envelope: Envelope) => void;
  closed: AbortSignal;
}
