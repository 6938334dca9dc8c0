import { createChannel, createUsers, type CreatedUser } from '@tidemark/testing';
import type { GatewayWorld } from './use-gateway.js';

/** A channel of Ada's with Bob in it (its head is 3), and Eve, who is in no channel. */
export interface Scene {
  ada: CreatedUser;
  bob: CreatedUser;
  eve: CreatedUser;
  channelId: string;
}

export async function scene({ writer: { database } }: GatewayWorld): Promise<Scene> {
  const [ada, bob, eve] = (await createUsers(database, ['Ada', 'Bob', 'Eve'])) as [
    CreatedUser,
    CreatedUser,
    CreatedUser,
  ];
  const { id: channelId } = await createChannel(database, { ownerId: ada.id, memberIds: [bob.id] });
  return { ada, bob, eve, channelId };
}

export const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, i) => from + i);
