import { renameSync, rmSync, writeFileSync } from 'node:fs';
import type { ServiceName } from '@tidemark/contracts';

/** What an outside program needs to find, check and kill any part of a running stack. */
export interface StackDescription {
  /** Of the process that keeps the services up. */
  pid: number;
  services: Record<ServiceName, { url: string; pid: number }[]>;
  databaseUrl: string;
  replicaUrls: string[];
  redisUrls: string[];
  jwtSecret: string;
  /** An audit under another strategy, or of other shards, would take what is right for drift, or drift for right. */
  readStatusStrategy: string;
  shards: number;
}

/** `stack.json`: true while the stack runs, and gone afterwards. */
export class StackFile {
  constructor(private readonly path: string) {}

  write(description: StackDescription): void {
    // Renamed into place, so that nobody ever reads half of it. It holds a secret and a password.
    const aside = `${this.path}.${process.pid}`;
    writeFileSync(aside, `${JSON.stringify(description, null, 2)}\n`, { mode: 0o600 });
    renameSync(aside, this.path);
  }

  remove(): void {
    rmSync(this.path, { force: true });
  }
}
