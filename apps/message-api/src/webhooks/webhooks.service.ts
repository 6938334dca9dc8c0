import { randomBytes } from 'node:crypto';
import { Injectable } from '@nestjs/common';
import {
  webhooksMax,
  type CreatedWebhook,
  type CreateWebhook,
  type Webhook,
  type Webhooks,
} from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { ProblemError } from '@tidemark/runtime';
import { Answer } from '../answer.js';
import { WebhooksStore } from './webhooks.store.js';

const KEY_BYTES = 32;

/** Who is sent what happens. Sending is sync-worker's. */
@Injectable()
export class WebhooksService {
  constructor(
    private readonly database: Database,
    private readonly webhooks: WebhooksStore,
  ) {}

  async create(wanted: CreateWebhook): Promise<Answer<CreatedWebhook>> {
    const secret = `whsec_${randomBytes(KEY_BYTES).toString('base64')}`;
    const webhook = await this.webhooks.insert({ ...wanted, secret });
    if (!webhook) {
      throw new ProblemError('invalid-request', `There are ${webhooksMax} webhooks, and may be no more.`);
    }
    return this.answer({ ...webhook, secret });
  }

  async list(): Promise<Answer<Webhooks>> {
    return this.answer({ items: await this.webhooks.all() });
  }

  async remove(id: string): Promise<Answer<undefined>> {
    if (!(await this.webhooks.remove(id))) throw notFound();
    return this.answer(undefined);
  }

  async enable(id: string): Promise<Answer<Webhook>> {
    const webhook = await this.webhooks.enable(id);
    if (!webhook) throw notFound();
    return this.answer(webhook);
  }

  private async answer<Body>(body: Body): Promise<Answer<Body>> {
    return Answer.at(await this.database.position(), body);
  }
}

const notFound = () => new ProblemError('not-found', 'There is no such webhook.');
