import type { LoggerService } from '@nestjs/common';
import { pino, type DestinationStream, type Logger } from 'pino';
import type { Config } from './config.js';
import { activeSpanIds } from './tracing/spans.js';

export type Log = Logger;

/** Injection token of the process's Log: `@Inject(LOG) log: Log`. */
export const LOG = Symbol('Log');

const SECRET_NAMES = ['authorization', 'token', 'password', 'secret', 'jwtSecret', 'cookie', 'text'];

/** What a log may not hold, wherever it stands: at the top of a line or up to two levels down. */
const redactedPaths = SECRET_NAMES.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]);

export function createLog(
  config: Pick<Config, 'service' | 'logLevel'> & Partial<Pick<Config, 'tracing'>>,
  destination?: DestinationStream,
): Log {
  const options = {
    level: config.logLevel,
    base: { service: config.service, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    redact: { paths: redactedPaths, censor: '[redacted]' },
    serializers: { err: describeError, error: describeError },
    ...(config.tracing && { mixin: activeSpanIds }),
  };
  return destination ? pino(options, destination) : pino(options);
}

interface ErrorDescription {
  type: string;
  message: string;
  code?: unknown;
  stack?: string;
  cause?: ErrorDescription | string;
}

/**
 * Name, message, code, stack and causes, and nothing else: drivers hang rows, statements and their parameters
 * on errors, and those hold what people wrote to each other.
 */
function describeError(error: unknown, depth = 0): ErrorDescription | string {
  if (!(error instanceof Error)) return typeof error === 'string' ? error : `thrown ${typeof error}`;
  const { code, cause } = error as Error & { code?: unknown };
  return {
    type: error.name,
    message: error.message,
    ...(code !== undefined && { code }),
    stack: error.stack,
    ...(cause !== undefined && depth < 4 && { cause: describeError(cause, depth + 1) }),
  };
}

/** Nest's own lines, through the same log. */
export class NestLog implements LoggerService {
  constructor(private readonly target: Log) {}

  // Nest says each route and module at `log`: worth a debug line, not one in production's log per start.
  log = (message: unknown, ...rest: unknown[]) => this.write('debug', message, rest);
  warn = (message: unknown, ...rest: unknown[]) => this.write('warn', message, rest);
  error = (message: unknown, ...rest: unknown[]) => this.write('error', message, rest);
  fatal = (message: unknown, ...rest: unknown[]) => this.write('fatal', message, rest);
  debug = (message: unknown, ...rest: unknown[]) => this.write('debug', message, rest);
  verbose = (message: unknown, ...rest: unknown[]) => this.write('trace', message, rest);

  private write(
    level: 'trace' | 'debug' | 'warn' | 'error' | 'fatal',
    message: unknown,
    rest: unknown[],
  ): void {
    const context = rest.filter((part) => typeof part === 'string').at(-1);
    const err = [message, ...rest].find((part) => part instanceof Error);
    this.target[level](
      { context, ...(err !== undefined && { err }) },
      typeof message === 'string' ? message : 'nest',
    );
  }
}
