import type { PipeTransform } from '@nestjs/common';
import { MessageBody } from '@nestjs/websockets';
import { socketEvents, type ClientEvent, type ClientPayload } from '@tidemark/contracts';
import { invalidRequest } from '@tidemark/runtime';
import type { z } from 'zod';

class PayloadPipe<Event extends ClientEvent> implements PipeTransform<unknown, ClientPayload<Event>> {
  private readonly schema: z.ZodType;

  constructor(event: Event) {
    this.schema = socketEvents.client[event].payload;
  }

  transform(payload: unknown): ClientPayload<Event> {
    const parsed = this.schema.safeParse(payload);
    if (!parsed.success) throw invalidRequest(parsed.error);
    return parsed.data as ClientPayload<Event>;
  }
}

/** What came with an event, as the contract has it, or an `invalid-request`. */
export const Payload = (event: ClientEvent) => MessageBody(new PayloadPipe(event));
