import { createRequire } from 'node:module';
import { range } from '../test-support/scene.js';
import type { FeedEvent } from '../feeds/feed-event.js';
import { Batch, encodeFrame } from './batch.js';

const event = (seq: number): FeedEvent => ({
  ...{ seq, type: 'message.created', ordinal: seq, json: `{"seq":${seq}}` },
  ...{ moved: new Set(), speaksOf: [String(seq % 2)] },
});

describe('a batch', () => {
  it('is the same for all who are given the same events, and its frame is encoded once', () => {
    const [one, two, three] = [event(1), event(2), event(3)] as const;
    const root = Batch.empty();
    const batch = root.with(one).with(two);
    expect(root.with(one).with(two)).toBe(batch);
    expect(root.with(two).with(one)).not.toBe(batch);
    expect(root.with(one).with(three).frame.packet).toBe('2["events",[{"seq":1},{"seq":3}]]');
    expect(root.with(one).with(two).frame).toBe(batch.frame);
    expect(batch.frame.packet).toBe('2["events",[{"seq":1},{"seq":2}]]');
    expect([...batch.speaksOf]).toEqual(['1', '0']);
  });

  it('holds many', () => {
    const events = range(1, 20_000).map(event);
    const batch = events.reduce((before, each) => before.with(each), Batch.empty());
    expect(batch.size).toBe(20_000);
    expect(JSON.parse(batch.frame.packet.slice(1))).toEqual(['events', events.map(({ seq }) => ({ seq }))]);
    expect(batch.chars).toBe(events.reduce((sum, { json }) => sum + json.length, 0));
  });
});

describe('encodeFrame', () => {
  // What Socket.IO's own adapter would have made of it.
  const fromEngine = createRequire(require.resolve('socket.io-adapter'));
  const { Sender } = fromEngine('ws') as {
    Sender: { frame: (data: Buffer, options: object) => Buffer[] };
  };

  it.each([1, 123, 124, 125, 126, 65_533, 65_534, 65_535, 65_536, 200_000])(
    'frames %i bytes as ws does',
    (bytes) => {
      for (const packet of ['x'.repeat(bytes), 'é'.repeat(bytes), '😀'.repeat(bytes)]) {
        const options = { readOnly: false, mask: false, rsv1: false, opcode: 1, fin: true };
        const expected = Buffer.concat(Sender.frame(Buffer.from(`4${packet}`), options));
        const frame = encodeFrame(packet);
        expect(Buffer.concat(frame.options.wsPreEncodedFrame).equals(expected)).toBe(true);
        expect(frame.bytes).toBe(expected.length);
      }
    },
  );
});
