import type { FeedEvent } from '../feeds/feed-event.js';

/** A socket.io packet that is encoded once, however many connections it goes to. */
export interface Frame {
  packet: string;
  bytes: number;
  /** For engine.io's `write`. The websocket frame is ready; polling takes the packet itself. */
  options: { compress: false; wsPreEncodedFrame: Buffer[] };
}

/**
 * Events for one connection, within one tick. Connections that are given the same events hold the same Batch, by
 * construction: to append is to ask the batch for its one successor with that event. So the frame is encoded once
 * for all of them, without comparing anything.
 */
export class Batch {
  private latest: Batch | null = null;
  private others: Map<FeedEvent, Batch> | null = null;
  private encoded: Frame | null = null;
  private named: ReadonlySet<string> | null = null;

  private constructor(
    private readonly before: Batch | null,
    private readonly event: FeedEvent | null,
    /** Events, and the characters of their JSON. */
    readonly size: number,
    readonly chars: number,
  ) {}

  /** The root of a tick's batches. */
  static empty(): Batch {
    return new Batch(null, null, 0, 0);
  }

  with(event: FeedEvent): Batch {
    if (this.latest?.event === event) return this.latest;
    const known = this.others?.get(event);
    if (known) return known;
    const next = new Batch(this, event, this.size + 1, this.chars + event.json.length);
    if (this.latest) (this.others ??= new Map()).set(event, next);
    else this.latest = next;
    return next;
  }

  get frame(): Frame {
    this.encoded ??= encodeFrame(`2["events",[${this.events.map(({ json }) => json).join(',')}]]`);
    return this.encoded;
  }

  /** The users that a client wants to know to show these events. */
  get speaksOf(): ReadonlySet<string> {
    this.named ??= new Set(this.events.flatMap(({ speaksOf }) => speaksOf));
    return this.named;
  }

  private get events(): FeedEvent[] {
    const { before, event } = this;
    if (event === null) return [];
    const events = [event];
    for (let batch = before; batch?.event; batch = batch.before) events.push(batch.event);
    return events.reverse();
  }
}

/**
 * A packet with its websocket frame: RFC 6455, one unmasked text frame of Engine.IO's message type "4". It is what
 * socket.io-adapter does for a broadcast, where `ws` frames it.
 */
export function encodeFrame(packet: string): Frame {
  const length = Buffer.byteLength(packet) + 1;
  const start = length < 126 ? 2 : length < 65_536 ? 4 : 10;
  const frame = Buffer.allocUnsafe(start + length);
  frame[0] = 0x81;
  if (start === 2) {
    frame[1] = length;
  } else if (start === 4) {
    frame[1] = 126;
    frame.writeUInt16BE(length, 2);
  } else {
    frame[1] = 127;
    frame.writeBigUInt64BE(BigInt(length), 2);
  }
  frame[start] = 0x34;
  frame.write(packet, start + 1);
  return { packet, bytes: frame.length, options: { compress: false, wsPreEncodedFrame: [frame] } };
}
