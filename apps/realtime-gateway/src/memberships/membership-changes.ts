import { Inject, Injectable } from '@nestjs/common';
import type { MembershipRow } from '@tidemark/channel-log';
import { LOG, type Log } from '@tidemark/runtime';
import type { Connection } from '../connections/connection.js';
import { Connections } from '../connections/connections.js';
import { Arrivals } from './arrivals.js';
import { MembershipsStore } from './memberships.store.js';

const usersPerReadMax = 500;

/** Follows the memberships of the users who are connected. What is told is only that something changed. */
@Injectable()
export class MembershipChanges {
  constructor(
    private readonly connections: Connections,
    private readonly arrivals: Arrivals,
    private readonly memberships: MembershipsStore,
    @Inject(LOG) private readonly log: Log,
  ) {
    connections.whenMembershipChanges((userId, channelId) => {
      for (const connection of connections.of(userId)) this.look(connection, channelId);
    });
  }

  /** Reads the membership and does what it asks for, after whatever the connection is busy with. */
  look(connection: Connection, channelId: string): void {
    if (connection.closed) return;
    this.settle(connection, () => this.memberships.find(channelId, connection.userId));
  }

  /** After a cut: changes may have gone untold. */
  async resync(): Promise<void> {
    const userIds = this.connections.userIds();
    for (let from = 0; from < userIds.length; from += usersPerReadMax) {
      const byUser = await this.memberships.ofUsers(userIds.slice(from, from + usersPerReadMax));
      for (const [userId, memberships] of byUser) {
        for (const connection of this.connections.of(userId)) {
          for (const membership of memberships) {
            if (needsLook(connection, membership)) this.look(connection, membership.channelId);
          }
        }
      }
    }
  }

  private settle(connection: Connection, read: () => Promise<MembershipRow | undefined>): void {
    connection.lane
      .run(async () => {
        const membership = await read();
        if (membership) await this.arrivals.settle(connection, membership);
      })
      .catch((err: unknown) => {
        // Half followed is worse than not at all: the client comes back and says what it has.
        this.log.warn({ err, userId: connection.userId }, 'a membership could not be followed');
        connection.close('out-of-step');
      });
  }
}

/** What is as it was, as nearly everything is, costs nothing more. */
function needsLook(connection: Connection, { channelId, leftSeq }: MembershipRow): boolean {
  if (connection.place(channelId)) return leftSeq !== null;
  return leftSeq === null || leftSeq > connection.formerStay(channelId).leftSeq;
}
