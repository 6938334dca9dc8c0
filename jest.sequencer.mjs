import Sequencer from '@jest/test-sequencer';

/** What takes minutes, the longest first. */
const long = ['/tools/e2e/src/replay/', '/presence/', '/tools/e2e/src/conformance/', '/tools/e2e/'];
const rank = ({ path }) => [...long, ''].findIndex((part) => path.includes(part));

/** What takes minutes begins first, so that at the end no worker is left alone with it. */
export default class LongestFirst extends Sequencer {
  sort(tests) {
    return [...super.sort(tests)].sort((one, other) => rank(one) - rank(other));
  }
}
