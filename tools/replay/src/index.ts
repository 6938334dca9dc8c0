export { type Fault } from './faults.js';
export { isFlawless, showReport, type ReplayReport, type Strategy } from './report.js';
export { runReplay, type ReplayOptions } from './run.js';
