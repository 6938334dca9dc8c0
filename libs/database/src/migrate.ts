import { loadDatabaseUrlOrExit } from '@tidemark/runtime';
import { Database } from './database.js';

// `npm run migrate`: brings DATABASE_URL to the schema of this version, and says what it did.
const database = await Database.connect({
  url: loadDatabaseUrlOrExit(),
  applicationName: 'tidemark-migrate',
  poolSizeMax: 2,
});
const applied = await database.migrate();
process.stdout.write(applied.length > 0 ? `Applied ${applied.join(', ')}.\n` : 'Nothing to apply.\n');
await database.close();
