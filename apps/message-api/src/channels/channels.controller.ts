import { Controller, Get, Patch, Post } from '@nestjs/common';
import type { Consistency } from '@tidemark/channel-log';
import {
  type Channel,
  type ChannelPage,
  createChannel,
  type CreateChannel,
  pageQuery,
  type PageQuery,
  routes,
  updateChannel,
  type UpdateChannel,
} from '@tidemark/contracts';
import { CurrentUser, type Identity, ZBody, ZParams, ZQuery } from '@tidemark/runtime';
import { HeldTo, type Answer } from '../answer.js';
import { ChannelsService } from './channels.service.js';

@Controller('v1/channels')
export class ChannelsController {
  constructor(private readonly channels: ChannelsService) {}

  @Post()
  create(@CurrentUser() me: Identity, @ZBody(createChannel) body: CreateChannel): Promise<Answer<Channel>> {
    return this.channels.create(me, body);
  }

  @Get()
  list(
    @CurrentUser() me: Identity,
    @ZQuery(pageQuery) page: PageQuery,
    @HeldTo() consistency: Consistency | null,
  ): Promise<Answer<ChannelPage>> {
    return this.channels.list(me, page, consistency);
  }

  @Get(':id')
  get(
    @CurrentUser() me: Identity,
    @ZParams(routes.getChannel.params) { id }: { id: string },
  ): Promise<Answer<Channel>> {
    return this.channels.get(me, id);
  }

  @Patch(':id')
  update(
    @CurrentUser() me: Identity,
    @ZParams(routes.updateChannel.params) { id }: { id: string },
    @ZBody(updateChannel) body: UpdateChannel,
  ): Promise<Answer<Channel>> {
    return this.channels.update(me, id, body);
  }
}
