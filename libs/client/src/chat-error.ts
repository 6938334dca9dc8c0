import type { Problem, ProblemCode, ProblemError, SocketRefusal } from '@tidemark/contracts';

/**
 * What can go wrong: the contract's problem codes, and four of our own. `no-answer`: the network failed, or nobody
 * answered in time. `closed`: the chat was closed meanwhile. `dropped`: the message was given up on by `drop()`.
 * `too-many`: a limit of this client. A server may know codes that are newer than this list.
 */
export type ChatErrorCode = ProblemCode | 'no-answer' | 'closed' | 'dropped' | 'too-many';

interface Circumstances {
  /** Of the HTTP answer; 0 where there was none. */
  status?: number;
  retryAfterMs?: number;
  errors?: readonly ProblemError[];
  cause?: unknown;
}

/** Every error of this client. Decide by `code`. */
export class ChatError extends Error {
  override readonly name = 'ChatError';
  readonly status: number;
  readonly retryAfterMs: number | undefined;
  /** Where in the request, and what is wrong there. */
  readonly errors: readonly ProblemError[];

  constructor(
    readonly code: ChatErrorCode,
    detail: string,
    { status = 0, retryAfterMs, errors = [], cause }: Circumstances = {},
  ) {
    super(detail, { cause });
    this.status = status;
    this.retryAfterMs = retryAfterMs;
    this.errors = errors;
  }

  /** Whether the same request may succeed later. */
  get temporary(): boolean {
    return ['no-answer', 'rate-limited', 'rebuilding', 'unavailable'].includes(this.code);
  }
}

/** Codes that are new to us are told by their status. */
export function errorOfAnswer(status: number, body: unknown, retryAfterMs?: number): ChatError {
  const { code, detail = '', errors } = (body ?? {}) as Partial<Problem>;
  const byStatus = status === 429 ? 'rate-limited' : status > 501 ? 'unavailable' : 'internal';
  return new ChatError(code ?? byStatus, detail || `The answer was ${status}.`, {
    ...{ status, retryAfterMs, errors },
  });
}

export function errorOfRefusal({ code, retryAfterMs }: SocketRefusal): ChatError {
  return new ChatError(code, `The gateway refused: ${code}.`, { retryAfterMs });
}

export const toChatError = (error: unknown): ChatError =>
  error instanceof ChatError ? error : new ChatError('no-answer', String(error), { cause: error });
