import type { Bench } from './bench.js';
import { appends } from './benches/append.js';
import { blocking } from './benches/blocking.js';
import { bursts } from './benches/bursts.js';
import { bytes } from './benches/bytes.js';
import { deliveries } from './benches/deliveries.js';
import { fanOut } from './benches/fan-out.js';
import { flush } from './benches/flush.js';
import { latency } from './benches/latency.js';
import { members } from './benches/members.js';
import { rebuild } from './benches/rebuild.js';
import { reports, singleReports } from './benches/reports.js';
import { httpSends } from './benches/sends.js';
import { updates } from './benches/updates.js';
import { writeBehind } from './benches/write-behind.js';

/** In the order of the table. */
export const benches: readonly Bench[] = [
  ...[reports, singleReports, writeBehind, blocking, updates, members, latency],
  ...[flush, bytes, rebuild, fanOut, deliveries, bursts, appends, httpSends],
];
