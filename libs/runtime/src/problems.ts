import { HttpException, Inject, type ArgumentsHost, Catch, type ExceptionFilter } from '@nestjs/common';
import {
  problemCodes,
  problemContentType,
  problemErrorsOf,
  problemOf,
  type Problem,
  type ProblemCode,
  type ProblemError as ProblemEntry,
} from '@tidemark/contracts';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ZodError } from 'zod';
import { LOG, type Log } from './log.js';
import { isTemporary } from './temporary-errors.js';

/**
 * A refusal with a code of the contract. Thrown anywhere, and turned into an answer once per transport:
 * here for HTTP, in the gateway for sockets.
 */
export class ProblemError extends Error {
  override name = 'ProblemError';
  readonly errors: readonly ProblemEntry[];
  /** Seconds after which to try again; null where trying again changes nothing. */
  readonly retryAfterS: number | null;

  constructor(
    readonly code: ProblemCode,
    readonly detail: string,
    options: { errors?: readonly ProblemEntry[]; retryAfterS?: number; cause?: unknown } = {},
  ) {
    super(`${code}: ${detail}`, { cause: options.cause });
    this.errors = options.errors ?? [];
    this.retryAfterS = problemCodes[code].retryable ? Math.max(1, Math.ceil(options.retryAfterS ?? 1)) : null;
  }

  toProblem(): Problem {
    return problemOf(this.code, this.detail, this.errors);
  }
}

/** Any thrown thing as a refusal. What we did not foresee says nothing of our insides: it may hold SQL or secrets. */
export function toProblemError(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof ZodError) return invalidRequest(error);
  const status = clientErrorStatus(error);
  if (status !== null) return refusalOf(status, error);
  if (isTemporary(error)) {
    return new ProblemError('unavailable', 'Something this needs does not answer for the moment.', {
      cause: error,
    });
  }
  return new ProblemError('internal', 'Something went wrong on our side; it has been logged.', {
    cause: error,
  });
}

/** What a schema of the contract found wrong. */
export function invalidRequest(error: ZodError): ProblemError {
  return new ProblemError('invalid-request', 'The request does not fit the contract.', {
    errors: problemErrorsOf(error),
    cause: error,
  });
}

/** A 4xx that Nest or Fastify gave itself, before or beside our own code. */
function clientErrorStatus(error: unknown): number | null {
  let status: unknown = null;
  if (error instanceof HttpException) status = error.getStatus();
  else if (error instanceof Error && 'statusCode' in error) status = error.statusCode;
  return typeof status === 'number' && status >= 400 && status < 500 ? status : null;
}

function refusalOf(status: number, cause: unknown): ProblemError {
  switch (status) {
    case 401:
      return new ProblemError('unauthenticated', 'This needs a valid token.', { cause });
    case 403:
      return new ProblemError('forbidden', 'This is not yours to do.', { cause });
    case 404:
    case 405:
      return new ProblemError('not-found', 'There is no such route.', { cause });
    case 413:
      return new ProblemError('too-large', 'The body is larger than 64 KiB.', { cause });
    case 415:
      return new ProblemError('invalid-request', 'A body must be sent as application/json.', { cause });
    case 429:
      return new ProblemError('rate-limited', 'Too many requests.', { cause });
    default:
      return new ProblemError('invalid-request', 'The request could not be understood.', { cause });
  }
}

/** The last stop of every error of an HTTP request: one shape for all of them. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(@Inject(LOG) private readonly log: Log) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const problem = toProblemError(error);
    const about = { requestId: request.id, method: request.method, route: request.routeOptions?.url };
    if (problem.code === 'internal') this.log.error({ ...about, err: error }, 'request failed');
    else if (problem.code === 'unavailable')
      this.log.warn({ ...about, err: error }, 'request refused for the moment');
    sendProblem(http.getResponse<FastifyReply>(), problem);
  }
}

export function sendProblem(reply: FastifyReply, problem: ProblemError): void {
  if (reply.sent || reply.raw.headersSent) return;
  if (problem.retryAfterS !== null) reply.header('retry-after', problem.retryAfterS);
  if (problemCodes[problem.code].status === 401) reply.header('www-authenticate', 'Bearer');
  // Bytes: to a string Fastify would add a charset, which this content type does not have.
  void reply
    .status(problemCodes[problem.code].status)
    .header('content-type', problemContentType)
    .send(Buffer.from(JSON.stringify(problem.toProblem())));
}
