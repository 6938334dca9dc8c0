import type { ChatMessage } from '@tidemark/client';
import { firstLook, firstNew, look, type Look, type Seen } from './divider.js';

const after = (...looks: Look[]): Seen => looks.slice(1).reduce(look, firstLook(looks[0]!));
const away = { reading: false };
const there = { reading: true };

describe('the line above what is new', () => {
  it('stays where the reading began, although the cursor moves on', () => {
    const seen = after(
      { cursor: 4, unread: 2, ...away },
      { cursor: 4, unread: 2, ...there },
      { cursor: 6, unread: 0, ...there },
      { cursor: 7, unread: 0, ...there },
    );
    expect(seen).toMatchObject({ seenTo: 4, line: true });
  });

  it('does not come above what is read as it arrives', () => {
    const seen = after(
      { cursor: 4, unread: 0, ...there },
      { cursor: 4, unread: 1, ...there },
      { cursor: 5, unread: 0, ...there },
    );
    expect(seen.seenTo).toBe(5);
  });

  it('goes when the reader does, and comes with what arrives then', () => {
    const left = after(
      { cursor: 4, unread: 2, ...there },
      { cursor: 6, unread: 0, ...there },
      { cursor: 6, unread: 0, ...away },
    );
    expect(left).toMatchObject({ seenTo: 6, line: false });
    expect(look(left, { cursor: 6, unread: 3, ...there })).toMatchObject({ seenTo: 6, line: true });
  });

  it('moves at once to where messages were marked as unread', () => {
    const seen = after({ cursor: 9, unread: 0, ...there }, { cursor: 3, unread: 5, ...there });
    expect(seen).toMatchObject({ seenTo: 3, line: true });
  });

  it('follows what is read on another device', () => {
    expect(after({ cursor: 3, unread: 5, ...away }, { cursor: 7, unread: 1, ...away }).seenTo).toBe(7);
  });

  it('is the same while nothing changes', () => {
    const seen = firstLook({ cursor: 3, unread: 1, ...away });
    expect(look(seen, { cursor: 3, unread: 4, ...away })).toBe(seen);
    const reading = look(seen, { cursor: 3, unread: 4, ...there });
    expect(look(reading, { cursor: 3, unread: 4, ...there })).toBe(reading);
  });
});

describe('the first new message', () => {
  const message = (seq: number, more: object = {}) =>
    ({
      ...{ status: 'sent', seq, threadSeq: null, kind: 'user', deletedAt: null, author: { id: '2' } },
      ...more,
    }) as unknown as ChatMessage;

  it('is not mine, no reply, no notice, not deleted, and not on its way', () => {
    const messages = [
      message(2),
      message(3, { author: { id: '1' } }),
      message(4, { threadSeq: 2 }),
      message(5, { kind: 'system' }),
      message(6, { deletedAt: '2026-01-01T00:00:00Z' }),
      message(7),
      message(0, { status: 'sending', seq: null }),
    ];
    expect(firstNew(messages, { seenTo: 2 }, '1')).toBe(7);
    expect(firstNew(messages, { seenTo: 7 }, '1')).toBeNull();
  });
});
