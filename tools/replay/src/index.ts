export { faults, type Fault } from './faults.js';
export { Http } from './http.js';
export { Quantiles } from './quantiles.js';
export { isFlawless, showReport, type ReplayReport } from './report.js';
export { runReplay, type ReplayOptions } from './run.js';
export { type ReplayedInstance, type ReplayedSystem } from './system.js';
