import { Controller, Get, Headers, HttpCode, Inject, Put, Res } from '@nestjs/common';
import {
  consistencyTokenHeader,
  markDelivered,
  pageQuery,
  routes,
  type MarkDelivered,
  type PageQuery,
  type Readers,
} from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { CurrentUser, ZBody, ZParams, ZQuery, type Identity } from '@tidemark/runtime';
import type { FastifyReply } from 'fastify';
import { consistencyOf, putConsistency } from '../consistency.js';
import { ReadStatusService } from '../read-status/read-status.service.js';
import { ReceiptsService } from './receipts.service.js';

@Controller('v1/channels/:id')
export class ReceiptsController {
  constructor(
    @Inject(ReceiptsService) private readonly receipts: ReceiptsService,
    @Inject(ReadStatusService) private readonly readStatus: ReadStatusService,
    @Inject(Database) private readonly database: Database,
  ) {}

  @Put('delivered')
  @HttpCode(204)
  async delivered(
    @CurrentUser() { userId }: Identity,
    @Headers(consistencyTokenHeader) token: string | undefined,
    @ZParams(routes.markDelivered.params) { id: channelId }: { id: string },
    @ZBody(markDelivered) { seq }: MarkDelivered,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<void> {
    consistencyOf(token);
    await this.readStatus.deliverOne({ userId, channelId, seq });
    await putConsistency(reply, this.database, 'cache');
  }

  @Get('messages/:seq/readers')
  async readers(
    @CurrentUser() me: Identity,
    @Headers(consistencyTokenHeader) token: string | undefined,
    @ZParams(routes.listReaders.params) path: { id: string; seq: number },
    @ZQuery(pageQuery) query: PageQuery,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Readers> {
    // The primary, asked now, includes whatever a token speaks of.
    consistencyOf(token);
    const readers = await this.receipts.readers(me, path, query);
    await putConsistency(reply, this.database, 'primary');
    return readers;
  }
}
