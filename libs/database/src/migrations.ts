import { readFileSync } from 'node:fs';
import type { MigrationInterface, QueryRunner } from 'typeorm';

/**
 * A migration is a numbered file in `sql/`. They only go forward: an older service must be able to run beside
 * a newer schema, so a step back is a further step.
 */
function sqlMigration(name: string, file: string): new () => MigrationInterface {
  return class implements MigrationInterface {
    readonly name = name;

    async up(runner: QueryRunner): Promise<void> {
      await runner.query(readFileSync(new URL(`../sql/${file}`, import.meta.url), 'utf8'));
    }

    down(): Promise<void> {
      return Promise.reject(new Error(`${name} has no way back: restore, or add a further migration.`));
    }
  };
}

// TypeORM orders by the time in milliseconds at a name's end.
export const migrations = [
  sqlMigration('Tables1763769600000', '0001-tables.sql'),
  sqlMigration('AppendMessages1763769600001', '0002-append-messages.sql'),
  sqlMigration('Unread1763769600002', '0003-unread.sql'),
  sqlMigration('Threads1763769600003', '0004-threads.sql'),
  sqlMigration('Delivered1763769600004', '0005-delivered.sql'),
  sqlMigration('CountedCursor1763769600005', '0006-counted-cursor.sql'),
  sqlMigration('Imports1763769600006', '0007-imports.sql'),
  sqlMigration('UserReceipts1763769600007', '0008-user-receipts.sql'),
  sqlMigration('TokenRevocation1763769600008', '0009-token-revocation.sql'),
  sqlMigration('Webhooks1763769600009', '0010-webhooks.sql'),
];
