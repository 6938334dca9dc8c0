import type { Position } from '@tidemark/database';

/**
 * What a read can be held to. Opaque to clients, and not signed: whatever it claims is clamped to what exists,
 * so a forged one costs no more than an honest one.
 */
export interface Consistency {
  timeline: number;
  /** Holds replicas: one that has replayed up to it shows what the token speaks of. */
  lsn: bigint;
  /** Holds what Redis serves: at least this seq of this channel. */
  channelId?: string;
  seq?: number;
}

const VERSION = 1;
const BYTES = 1 + 4 + 8 + 8 + 8;

export function encodeToken(
  { timeline, lsn }: Pick<Position, 'timeline' | 'lsn'>,
  of?: { channelId: string; seq: number },
): string {
  const bytes = Buffer.alloc(of ? BYTES : 13);
  bytes.writeUInt8(VERSION, 0);
  bytes.writeUInt32BE(timeline, 1);
  bytes.writeBigUInt64BE(lsn, 5);
  if (of) {
    bytes.writeBigUInt64BE(BigInt(of.channelId), 13);
    bytes.writeBigUInt64BE(BigInt(of.seq), 21);
  }
  return bytes.toString('base64url');
}

/** null for what no service of ours has said. */
export function decodeToken(token: string): Consistency | null {
  const bytes = Buffer.from(token, 'base64url');
  if ((bytes.length !== BYTES && bytes.length !== 13) || bytes.readUInt8(0) !== VERSION) return null;
  const consistency: Consistency = { timeline: bytes.readUInt32BE(1), lsn: bytes.readBigUInt64BE(5) };
  if (bytes.length === BYTES) {
    const seq = Number(bytes.readBigUInt64BE(21));
    if (!Number.isSafeInteger(seq)) return null;
    consistency.channelId = bytes.readBigUInt64BE(13).toString();
    consistency.seq = seq;
  }
  return consistency;
}
