import {
  createParamDecorator,
  type CallHandler,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { decodeToken, encodeToken, type Consistency } from '@tidemark/channel-log';
import { consistencyToken, consistencyTokenHeader, servedByHeader, type ServedBy } from '@tidemark/contracts';
import type { Position, Routed } from '@tidemark/database';
import { ProblemError } from '@tidemark/runtime';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { map, type Observable } from 'rxjs';

declare module 'fastify' {
  interface FastifyRequest {
    /** What the Tidemark-Token of the request holds the answer to. */
    consistency?: Consistency | null;
  }
}

/** A place in a channel's log that an answer includes. */
export interface Place {
  channelId: string;
  seq: number;
}

/** What is said to a client, and what a later read can be held to by it. */
export class Answer<Body> {
  private constructor(
    readonly body: Body,
    readonly token: string,
    readonly servedBy: ServedBy,
    /** Another than the route's usual one. */
    readonly status?: number,
  ) {}

  /** `position` was read after the commit, or after the read, that the body is of. */
  static at<Body>(
    position: Pick<Position, 'timeline' | 'lsn'>,
    body: Body,
    place?: Place,
    status?: number,
  ): Answer<Body> {
    return new Answer(body, encodeToken(position, place), 'primary', status);
  }

  static of<Body>(
    { result, servedBy, position }: Omit<Routed<Body>, 'servedBy'> & { servedBy: ServedBy },
    place?: Place,
  ): Answer<Body> {
    return new Answer(result, encodeToken(position, place), servedBy);
  }

  with<Other>(body: Other): Answer<Other> {
    return new Answer(body, this.token, this.servedBy, this.status);
  }
}

/** The Consistency that a request asks for; null without a token. */
export const HeldTo = createParamDecorator(
  (_: unknown, context: ExecutionContext): Consistency | null =>
    context.switchToHttp().getRequest<FastifyRequest>().consistency ?? null,
);

/** Reads the token of each request, and puts token and source on each answer. */
@Injectable()
export class AnswerInterceptor implements NestInterceptor {
  intercept(context: ExecutionContext, next: CallHandler<unknown>): Observable<unknown> {
    const http = context.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    request.consistency = consistencyOf(request.headers[consistencyTokenHeader.toLowerCase()]);
    return next.handle().pipe(
      map((answer) => {
        if (!(answer instanceof Answer)) return answer;
        const reply = http.getResponse<FastifyReply>();
        reply.header(consistencyTokenHeader, answer.token).header(servedByHeader, answer.servedBy);
        if (answer.status !== undefined) reply.status(answer.status);
        return answer.body as unknown;
      }),
    );
  }
}

function consistencyOf(header: string | string[] | undefined): Consistency | null {
  if (header === undefined) return null;
  const consistency = consistencyToken.safeParse(header).success ? decodeToken(String(header)) : null;
  if (consistency) return consistency;
  throw new ProblemError(
    'invalid-request',
    `The header ${consistencyTokenHeader} is not a token of this service.`,
    {
      errors: [{ pointer: `/${consistencyTokenHeader}`, detail: 'must be a token of this service' }],
    },
  );
}
