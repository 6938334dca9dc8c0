import type { Database } from '@tidemark/database';
import type { Stack } from '@tidemark/stack';
import { createChannel, createUsers } from '@tidemark/testing';

/** Few authors a channel write at once, so that their sends share commits; readers listen. */
const CHANNELS = 3;
const AUTHORS = 2;
const READERS = 8;

export interface Author {
  id: string;
  name: string;
  jwt: string;
}

export interface Room {
  channelId: string;
  authors: Author[];
  /** Of those who are connected. */
  readerJwts: string[];
}

/** New people in new channels: no run sees anything of an earlier one. */
export async function gather(database: Database, stack: Stack): Promise<Room[]> {
  const rooms: Room[] = [];
  for (let i = 0; i < CHANNELS; i++) {
    const users = await createUsers(database, AUTHORS + READERS);
    const memberIds = users.map(({ id }) => id);
    const { id: channelId } = await createChannel(database, { ownerId: memberIds[0]!, memberIds });
    const people = users.map(({ id, name, externalId }) => ({
      ...{ id, name, jwt: stack.token(externalId, { name }) },
    }));
    const readerJwts = people.slice(AUTHORS).map(({ jwt }) => jwt);
    rooms.push({ channelId, authors: people.slice(0, AUTHORS), readerJwts });
  }
  return rooms;
}
