import { Module } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { ChannelLogModule } from '@tidemark/channel-log';
import { CONFIG, type Config } from '@tidemark/runtime';
import { UnreadCounter } from './counts/unread-counter.js';
import { CursorCache } from './cursors/cursor-cache.js';
import { CursorMoves } from './cursors/cursor-moves.js';
import { ReadCommits } from './cursors/read-commits.js';
import { ReadTraces } from './cursors/read-traces.js';
import { ReadStatusController } from './read-status/read-status.controller.js';
import { ReadStatusService } from './read-status/read-status.service.js';
import { ReadStatusStore } from './read-status/read-status.store.js';
import { ReceiptsController } from './receipts/receipts.controller.js';
import { ReceiptsService } from './receipts/receipts.service.js';
import { ReceiptsStore } from './receipts/receipts.store.js';
import { ReconcileController } from './reconcile/reconcile.controller.js';
import { ReportsConsumer } from './reports/reports.consumer.js';
import { IncrementsConsumer } from './strategies/increments.consumer.js';
import { ReadStatusStrategy } from './strategies/read-status-strategy.js';
import { RedisOnlyStrategy } from './strategies/redis-only.strategy.js';
import { SyncDbStore } from './strategies/sync-db.store.js';
import { SyncDbStrategy } from './strategies/sync-db.strategy.js';
import { WatermarkStrategy } from './strategies/watermark.strategy.js';
import { WriteBehindStrategy } from './strategies/write-behind.strategy.js';
import { ThreadsService } from './threads/threads.service.js';
import { ThreadsStore } from './threads/threads.store.js';

const strategies = {
  watermark: WatermarkStrategy,
  'write-behind': WriteBehindStrategy,
  'sync-db': SyncDbStrategy,
  'redis-only': RedisOnlyStrategy,
};

@Module({
  imports: [ChannelLogModule],
  controllers: [ReadStatusController, ReceiptsController, ReconcileController],
  providers: [
    CursorCache,
    CursorMoves,
    ReadCommits,
    ReadTraces,
    UnreadCounter,
    ReadStatusStore,
    SyncDbStore,
    ReadStatusService,
    ThreadsStore,
    ThreadsService,
    ReceiptsStore,
    ReceiptsService,
    ReportsConsumer,
    IncrementsConsumer,
    {
      provide: ReadStatusStrategy,
      inject: [CONFIG, ModuleRef],
      useFactory: (config: Config, module: ModuleRef): Promise<ReadStatusStrategy> =>
        module.create<ReadStatusStrategy>(strategies[config.readStatusStrategy]),
    },
  ],
})
export class AppModule {}
