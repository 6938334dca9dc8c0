import { Controller, Delete, Get, HttpCode, Patch, Post } from '@nestjs/common';
import type { Consistency } from '@tidemark/channel-log';
import {
  editMessage,
  type EditMessage,
  type Message,
  type MessagePage,
  messagesQuery,
  type MessagesQuery,
  routes,
  sendMessage,
  type SendMessage,
} from '@tidemark/contracts';
import { CurrentUser, type Identity, ZBody, ZParams, ZQuery } from '@tidemark/runtime';
import { HeldTo, type Answer } from '../answer.js';
import { HistoryService } from './history.service.js';
import { MessagesService } from './messages.service.js';
import { SendsService } from './sends.service.js';

interface MessagePath {
  id: string;
  seq: number;
}

@Controller('v1/channels/:id/messages')
export class MessagesController {
  constructor(
    private readonly sends: SendsService,
    private readonly history: HistoryService,
    private readonly messages: MessagesService,
  ) {}

  @Post()
  send(
    @CurrentUser() me: Identity,
    @ZParams(routes.sendMessage.params) { id }: { id: string },
    @ZBody(sendMessage) body: SendMessage,
  ): Promise<Answer<Message>> {
    return this.sends.send(me, id, body);
  }

  @Get()
  list(
    @CurrentUser() me: Identity,
    @ZParams(routes.listMessages.params) { id }: { id: string },
    @ZQuery(messagesQuery) query: MessagesQuery,
    @HeldTo() consistency: Consistency | null,
  ): Promise<Answer<MessagePage>> {
    return this.history.list(me, id, query, consistency);
  }

  @Get(':seq')
  get(
    @CurrentUser() me: Identity,
    @ZParams(routes.getMessage.params) { id, seq }: MessagePath,
    @HeldTo() consistency: Consistency | null,
  ): Promise<Answer<Message>> {
    return this.messages.get(me, id, seq, consistency);
  }

  @Patch(':seq')
  edit(
    @CurrentUser() me: Identity,
    @ZParams(routes.editMessage.params) { id, seq }: MessagePath,
    @ZBody(editMessage) body: EditMessage,
  ): Promise<Answer<Message>> {
    return this.messages.edit(me, id, seq, body);
  }

  @Delete(':seq')
  @HttpCode(204)
  delete(
    @CurrentUser() me: Identity,
    @ZParams(routes.deleteMessage.params) { id, seq }: MessagePath,
  ): Promise<Answer<void>> {
    return this.messages.delete(me, id, seq);
  }
}
