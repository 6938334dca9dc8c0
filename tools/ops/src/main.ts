import { findHelm, takeHelm } from './helm.js';

// The first half of `npm run check:chart`: has a helm, without which the tests of the chart are skipped.
const helm = findHelm() ?? (await takeHelm());
process.stdout.write(`Helm is ${helm}\n`);
