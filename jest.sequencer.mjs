import Sequencer from '@jest/test-sequencer';

/** What takes minutes begins first, so that at the end no worker is left alone with it. */
export default class LongestFirst extends Sequencer {
  sort(tests) {
    const isLong = ({ path }) => path.includes('/tools/e2e/');
    const sorted = super.sort(tests);
    return [...sorted.filter(isLong), ...sorted.filter((test) => !isLong(test))];
  }
}
