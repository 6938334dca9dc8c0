import { Module } from '@nestjs/common';
import { ChannelLogModule } from '@tidemark/channel-log';
import { AsyncApiController } from './asyncapi.controller.js';
import { CatchUp } from './catch-up/catch-up.js';
import { Connections } from './connections/connections.js';
import { ExpiryWheel } from './connections/expiry-wheel.js';
import { Sessions } from './connections/sessions.js';
import { Ticks } from './connections/ticks.js';
import { UserSockets } from './connections/user-sockets.js';
import { Feeds } from './feeds/feeds.js';
import { Heads } from './feeds/heads.js';
import { LogPages } from './feeds/log-pages.js';
import { Gateway } from './gateway.js';
import { LogHistory } from './history/log-history.js';
import { Arrivals } from './memberships/arrivals.js';
import { MembershipChanges } from './memberships/membership-changes.js';
import { MembershipsStore } from './memberships/memberships.store.js';
import { LostReads } from './read-reports/lost-reads.js';
import { ReadReports } from './read-reports/read-reports.js';
import { Handshakes } from './requests/handshakes.js';
import { Resync } from './resync.js';
import { Heartbeat } from './presence/heartbeat.js';
import { Presence } from './presence/presence.js';
import { PresenceStore } from './presence/presence.store.js';
import { Topics } from './topics/topics.js';
import { Typing } from './typing/typing.js';
import { ProfileChanges } from './users/profile-changes.js';
import { UserProfiles } from './users/user-profiles.js';

@Module({
  imports: [ChannelLogModule],
  controllers: [AsyncApiController],
  providers: [
    ...[Topics, LogHistory, Resync],
    ...[Connections, ExpiryWheel, Sessions, Ticks, UserSockets, UserProfiles, ProfileChanges],
    ...[Feeds, Heads, LogPages, CatchUp],
    ...[Arrivals, MembershipChanges, MembershipsStore],
    ...[LostReads, ReadReports],
    ...[Heartbeat, Presence, PresenceStore, Typing],
    ...[Handshakes, Gateway],
  ],
})
export class AppModule {}
