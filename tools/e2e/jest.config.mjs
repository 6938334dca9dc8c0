import preset from '../../jest.preset.js';

/** Each starts the whole system for a property that its parts are held to in their own tests too. */
const long = ['/src/client/', '/src/fan-out/', '/src/promotion/', '/src/reconcile/', '/src/threads/'];
/** Needs a browser: `npm run test:web`. */
const inBrowser = ['/src/web/'];

export default {
  ...preset,
  displayName: 'e2e',
  testPathIgnorePatterns: [...(process.env.LONG ? [] : long), ...(process.env.WEB ? [] : inBrowser)],
};
