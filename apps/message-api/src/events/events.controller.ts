import { Controller, Get } from '@nestjs/common';
import { eventsQuery, type EventPage, type EventsQuery, routes } from '@tidemark/contracts';
import { CurrentUser, type Identity, ZParams, ZQuery } from '@tidemark/runtime';
import type { Answer } from '../answer.js';
import { EventsService } from './events.service.js';

@Controller('v1/channels/:id/events')
export class EventsController {
  constructor(private readonly events: EventsService) {}

  @Get()
  list(
    @CurrentUser() me: Identity,
    @ZParams(routes.listEvents.params) { id }: { id: string },
    @ZQuery(eventsQuery) query: EventsQuery,
  ): Promise<Answer<EventPage>> {
    return this.events.list(me, id, query);
  }
}
