import { Module, type DynamicModule } from '@nestjs/common';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { ChannelLogModule } from '@tidemark/channel-log';
import { Database, ReadRouter } from '@tidemark/database';
import { CONFIG, Metrics, type Config } from '@tidemark/runtime';
import { AnswerInterceptor } from './answer.js';
import { ChannelAccess } from './channels/channel-access.js';
import { ChannelsController } from './channels/channels.controller.js';
import { ChannelsService } from './channels/channels.service.js';
import { ChannelsStore } from './channels/channels.store.js';
import { Applies } from './events/applies.js';
import { ChannelChanges } from './events/channel-changes.js';
import { EventsController } from './events/events.controller.js';
import { EventsService } from './events/events.service.js';
import { EventsStore } from './events/events.store.js';
import { MembersController } from './members/members.controller.js';
import { MembersService } from './members/members.service.js';
import { MembersStore } from './members/members.store.js';
import { HistoryService } from './messages/history.service.js';
import { MessagesController } from './messages/messages.controller.js';
import { MessagesService } from './messages/messages.service.js';
import { MessagesStore } from './messages/messages.store.js';
import { RecentMessages } from './messages/recent-messages.js';
import { SendBatches } from './messages/send-batches.js';
import { SendsService } from './messages/sends.service.js';
import { SendsStore } from './messages/sends.store.js';
import { DevTokenController } from './users/dev-token.controller.js';
import { UsersController } from './users/users.controller.js';
import { UsersService } from './users/users.service.js';
import { WebhooksController } from './webhooks/webhooks.controller.js';
import { WebhooksService } from './webhooks/webhooks.service.js';
import { WebhooksStore } from './webhooks/webhooks.store.js';

@Module({
  imports: [ChannelLogModule],
  controllers: [
    ...[UsersController, ChannelsController, MembersController, MessagesController, EventsController],
    WebhooksController,
  ],
  providers: [
    { provide: APP_INTERCEPTOR, useClass: AnswerInterceptor },
    {
      provide: ReadRouter,
      inject: [CONFIG, Database, Metrics],
      useFactory: ({ readRouting: routing, recentWindowMs }: Config, database: Database, metrics: Metrics) =>
        new ReadRouter({ database, metrics, routing, recentWindowMs }),
    },
    UsersService,
    ChannelsStore,
    ChannelAccess,
    ChannelsService,
    MembersStore,
    MembersService,
    EventsStore,
    Applies,
    ChannelChanges,
    EventsService,
    MessagesStore,
    RecentMessages,
    MessagesService,
    HistoryService,
    SendsStore,
    SendBatches,
    SendsService,
    WebhooksStore,
    WebhooksService,
  ],
})
export class AppModule {
  static for({ nodeEnv, jwtSecret }: Pick<Config, 'nodeEnv' | 'jwtSecret'>): DynamicModule {
    // Absent rather than refused: elsewhere there is no such route, whatever is sent to it.
    const signsTokens = nodeEnv === 'development' && jwtSecret !== null;
    return { module: AppModule, controllers: signsTokens ? [DevTokenController] : [] };
  }
}
