import type { Envelope } from '@tidemark/contracts';
import { Delivery } from './delivery.js';

const me = '1';
const event = (seq: number, type: Envelope['type'] = 'message.created', userIds: string[] = []): Envelope =>
  ({
    v: 1,
    channelId: '7',
    seq,
    ordinal: seq,
    at: '',
    token: 't',
    actorId: '2',
    type,
    payload: { userIds },
  }) as unknown as Envelope;

describe('what a client notices of delivery', () => {
  let delivery: Delivery;

  beforeEach(() => {
    delivery = new Delivery(me, 'client');
    delivery.connecting(false);
    delivery.onReady({ logEpoch: 'e', heads: { '7': 10 } });
  });

  const take = (...seqs: number[]) => seqs.forEach((seq) => delivery.onEvent(event(seq)));
  const finish = (head: number) => {
    delivery.finish(new Map([['7', head]]));
    return delivery.faults;
  };
  const none = { missing: 0, duplicated: 0, outOfOrder: 0 };

  it('is nothing where every event comes once and in order', () => {
    take(11, 12, 13);
    expect(finish(13)).toEqual(none);
    expect(delivery.seen('7')).toBe(13);
  });

  it('is an event that never comes, in between or at the end', () => {
    take(11, 13);
    expect(finish(15)).toEqual({ ...none, missing: 3 });
  });

  it('is an event that comes late', () => {
    take(11, 13, 12);
    expect(finish(13)).toEqual({ ...none, outOfOrder: 1 });
  });

  it('is an event that comes twice', () => {
    take(11, 11, 12, 11);
    expect(finish(12)).toEqual({ ...none, duplicated: 2 });
  });

  it('is no gap between two connections if the second resumes where the first ended', () => {
    take(11, 12);
    delivery.disconnected();
    expect(delivery.resume()).toEqual({ logEpoch: 'e', channels: { '7': 12 } });
    delivery.connecting(true);
    take(13, 14);
    delivery.onReady({ logEpoch: 'e', heads: { '7': 14 }, refetch: [] });
    take(15);
    expect(finish(15)).toEqual(none);
  });

  it('is a recovery that is passed off as whole', () => {
    delivery.connecting(true);
    take(11);
    delivery.onReady({ logEpoch: 'e', heads: { '7': 14 }, refetch: [] });
    take(15);
    expect(finish(15)).toEqual({ ...none, missing: 3 });
  });

  it('is nothing where the server says plainly what to fetch anew', () => {
    delivery.connecting(true);
    delivery.onReady({ logEpoch: 'e', heads: { '7': 400 }, refetch: ['7'] });
    take(401);
    delivery.onRefetch(['7']);
    take(900);
    expect(finish(900)).toEqual(none);
    expect(delivery.refetches).toBe(2);
  });

  it('is an event after leaving, until one has joined again', () => {
    delivery.onEvent(event(11, 'member.left', [me]));
    take(12);
    delivery.onEvent(event(13, 'member.joined', [me]));
    take(14);
    expect(finish(14)).toEqual({ ...none, outOfOrder: 1 });
  });

  it('is nothing where somebody left and came again while away', () => {
    take(11);
    delivery.connecting(true);
    delivery.onEvent(event(20, 'member.joined', [me]));
    take(21);
    delivery.onReady({ logEpoch: 'e', heads: { '7': 21 }, refetch: [] });
    expect(finish(21)).toEqual(none);
  });
});
