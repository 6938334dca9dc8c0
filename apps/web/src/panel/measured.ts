import { Latencies } from './latencies.js';

/** Of all people in this page. */
export const latencies = new Latencies();
