import { Module } from '@nestjs/common';
import { ChannelLog, ChannelLogModule } from '@tidemark/channel-log';
import { CONFIG, type Config } from '@tidemark/runtime';
import { UnreadCounter } from './counts/unread-counter.js';
import { CursorCache } from './cursors/cursor-cache.js';
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
import { WatermarkStrategy } from './strategies/watermark.strategy.js';
import { WriteBehindStrategy } from './strategies/write-behind.strategy.js';

@Module({
  imports: [ChannelLogModule],
  controllers: [ReadStatusController, ReceiptsController, ReconcileController],
  providers: [
    CursorCache,
    UnreadCounter,
    ReadStatusStore,
    ReadStatusService,
    ReceiptsStore,
    ReceiptsService,
    ReportsConsumer,
    IncrementsConsumer,
    {
      provide: ReadStatusStrategy,
      inject: [CONFIG, UnreadCounter, ChannelLog],
      useFactory: (config: Config, counter: UnreadCounter, log: ChannelLog): ReadStatusStrategy =>
        config.readStatusStrategy === 'write-behind'
          ? new WriteBehindStrategy(counter, log)
          : new WatermarkStrategy(counter),
    },
  ],
})
export class AppModule {}
