import { Controller, Get, Headers, HttpCode, Inject, Post, Put, Res } from '@nestjs/common';
import {
  consistencyTokenHeader,
  id,
  markAllRead,
  markRead,
  markUnread,
  queryUnread,
  unreadQuery,
  type Count,
  type MarkAllRead,
  type MarkRead,
  type MarkUnread,
  type QueryUnread,
  type ReadAll,
  type Unread,
  type UnreadQuery,
} from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { CurrentUser, ZBody, ZParams, ZQuery, type Identity } from '@tidemark/runtime';
import type { FastifyReply } from 'fastify';
import { z } from 'zod';
import { consistencyOf, putConsistency } from '../consistency.js';
import { ReadStatusService } from './read-status.service.js';

const channelPath = z.object({ id });
type ChannelPath = z.infer<typeof channelPath>;

@Controller('v1')
export class ReadStatusController {
  constructor(
    @Inject(ReadStatusService) private readonly readStatus: ReadStatusService,
    @Inject(Database) private readonly database: Database,
  ) {}

  @Get('unread')
  async unread(
    @CurrentUser() { userId }: Identity,
    @Headers(consistencyTokenHeader) token: string | undefined,
    @ZQuery(unreadQuery) _all: UnreadQuery,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Unread> {
    await this.readStatus.await(consistencyOf(token));
    return this.answered(reply, await this.readStatus.unread(userId, 'all'));
  }

  @Post('unread/query')
  @HttpCode(200)
  async query(
    @CurrentUser() { userId }: Identity,
    @Headers(consistencyTokenHeader) token: string | undefined,
    @ZBody(queryUnread) { channelIds }: QueryUnread,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Unread> {
    await this.readStatus.await(consistencyOf(token));
    return this.answered(reply, await this.readStatus.unread(userId, channelIds));
  }

  @Put('channels/:id/read')
  async read(
    @CurrentUser() { userId }: Identity,
    @Headers(consistencyTokenHeader) token: string | undefined,
    @ZParams(channelPath) { id: channelId }: ChannelPath,
    @ZBody(markRead) { seq, threadSeq }: MarkRead,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Count> {
    const consistency = consistencyOf(token);
    // Threads are read from the primary, which includes whatever a token speaks of.
    if (threadSeq === undefined) await this.readStatus.await(consistency);
    const count = await this.readStatus.advanceOne({ userId, channelId, threadSeq, seq });
    return this.answered(reply, count, count);
  }

  @Post('channels/:id/unread')
  @HttpCode(200)
  async markUnread(
    @CurrentUser() { userId }: Identity,
    @Headers(consistencyTokenHeader) token: string | undefined,
    @ZParams(channelPath) { id: channelId }: ChannelPath,
    @ZBody(markUnread) { fromSeq, threadSeq }: MarkUnread,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Count> {
    const consistency = consistencyOf(token);
    if (threadSeq === undefined) await this.readStatus.await(consistency);
    const count =
      threadSeq === undefined
        ? await this.readStatus.markUnread(userId, channelId, fromSeq)
        : await this.readStatus.markThreadUnread({ userId, channelId, threadSeq }, fromSeq);
    return this.answered(reply, count, count);
  }

  @Post('read-all')
  @HttpCode(200)
  async readAll(
    @CurrentUser() { userId }: Identity,
    @Headers(consistencyTokenHeader) token: string | undefined,
    @ZBody(markAllRead) _everything: MarkAllRead,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<ReadAll> {
    await this.readStatus.await(consistencyOf(token));
    return this.answered(reply, { channels: await this.readStatus.readAll(userId) });
  }

  private async answered<Answer>(reply: FastifyReply, answer: Answer, of?: Count): Promise<Answer> {
    await putConsistency(reply, this.database, of?.threadSeq === undefined ? 'cache' : 'primary', of);
    return answer;
  }
}
