/** A shard of Redis has lost its state: its cache epoch is gone, and a new one must begin before it is used. */
export class NoEpochError extends Error {
  readonly temporary = true;
  constructor(readonly shardName: string) {
    super(`Redis shard ${shardName} has no cache epoch`);
  }
}
