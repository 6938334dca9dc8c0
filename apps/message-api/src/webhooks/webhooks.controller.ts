import { Controller, Delete, Get, HttpCode, Post } from '@nestjs/common';
import {
  createWebhook,
  type CreatedWebhook,
  type CreateWebhook,
  routes,
  type Webhook,
  type Webhooks,
} from '@tidemark/contracts';
import { AdminOnly, ZBody, ZParams } from '@tidemark/runtime';
import type { Answer } from '../answer.js';
import { WebhooksService } from './webhooks.service.js';

@AdminOnly()
@Controller('v1/webhooks')
export class WebhooksController {
  constructor(private readonly webhooks: WebhooksService) {}

  @Post()
  create(@ZBody(createWebhook) wanted: CreateWebhook): Promise<Answer<CreatedWebhook>> {
    return this.webhooks.create(wanted);
  }

  @Get()
  list(): Promise<Answer<Webhooks>> {
    return this.webhooks.list();
  }

  @Delete(':id')
  @HttpCode(204)
  remove(@ZParams(routes.deleteWebhook.params) { id }: { id: string }): Promise<Answer<undefined>> {
    return this.webhooks.remove(id);
  }

  @Post(':id/enable')
  @HttpCode(200)
  enable(@ZParams(routes.enableWebhook.params) { id }: { id: string }): Promise<Answer<Webhook>> {
    return this.webhooks.enable(id);
  }
}
