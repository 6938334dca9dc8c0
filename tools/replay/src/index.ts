export { type Fault } from './faults.js';
export { isFlawless, showReport, type ReplayReport } from './report.js';
export { runReplay, type ReplayOptions } from './run.js';
