import { z } from 'zod';

import { problemErrorCharsMax, problemErrorsMax } from './limits.js';

/**
 * Every refusal there is. A client decides by `code`; `retryable` says whether the same request may succeed
 * later, after `Retry-After`.
 */
export const problemCodes = {
  'malformed-json': { status: 400, title: 'The body is not JSON', retryable: false },
  'invalid-request': { status: 400, title: 'The request does not fit the contract', retryable: false },
  unauthenticated: { status: 401, title: 'A valid token is needed', retryable: false },
  'token-expired': { status: 401, title: 'The token has expired', retryable: false },
  forbidden: { status: 403, title: 'This is not yours to do', retryable: false },
  'not-found': { status: 404, title: 'There is nothing here', retryable: false },
  'idempotency-conflict': {
    status: 409,
    title: 'This clientId has sent other content before',
    retryable: false,
  },
  'channel-archived': { status: 409, title: 'The channel is archived', retryable: false },
  'log-pruned': { status: 410, title: 'The log no longer reaches back that far', retryable: false },
  'too-large': { status: 413, title: 'The request is too large', retryable: false },
  'rate-limited': { status: 429, title: 'Too many requests', retryable: true },
  internal: { status: 500, title: 'Something went wrong here', retryable: false },
  rebuilding: { status: 503, title: 'Counts are being rebuilt', retryable: true },
  unavailable: { status: 503, title: 'Not available for the moment', retryable: true },
} as const satisfies Record<string, { status: number; title: string; retryable: boolean }>;

export type ProblemCode = keyof typeof problemCodes;

/** An enum in what we say, so that it is documented; clients treat a code that is new to them by its status. */
export const problemCode = z
  .enum(Object.keys(problemCodes) as [ProblemCode, ...ProblemCode[]])
  .meta({ id: 'ProblemCode' });

/** Where in the body, query or path (a JSON pointer, '' for the whole), and what is wrong there. */
export const problemError = z.object({ pointer: z.string(), detail: z.string() });
export type ProblemError = z.infer<typeof problemError>;

/** RFC 9457, `application/problem+json`: the body of every refusal. */
export const problem = z
  .object({
    type: z.string().meta({ examples: ['urn:tidemark:problem:not-found'] }),
    title: z.string(),
    status: z.int().min(400).max(599),
    code: problemCode,
    detail: z.string(),
    errors: z.array(problemError).optional(),
  })
  .meta({ id: 'Problem' });
export type Problem = z.infer<typeof problem>;

export const problemContentType = 'application/problem+json';

/** The body of a refusal. `type` is a URN: we own no host whose address could stand for it. */
export function problemOf(code: ProblemCode, detail: string, errors?: readonly ProblemError[]): Problem {
  const { status, title } = problemCodes[code];
  return {
    type: `urn:tidemark:problem:${code}`,
    title,
    status,
    code,
    detail,
    ...(errors && errors.length > 0 && { errors: [...errors] }),
  };
}

/** What zod found, for `errors`: the first `problemErrorsMax`, each cut, since field names are the sender's. */
export function problemErrorsOf(error: Pick<z.ZodError, 'issues'>): ProblemError[] {
  return error.issues.slice(0, problemErrorsMax).map(({ path, message }) => ({
    pointer: cut(path.map((key) => `/${String(key).replaceAll('~', '~0').replaceAll('/', '~1')}`).join('')),
    detail: cut(message),
  }));
}

function cut(long: string): string {
  // By code points, so that no surrogate pair is split; these units hold more than the limit, if there are more.
  const chars = [...long.slice(0, 2 * problemErrorCharsMax + 2)];
  return chars.length <= problemErrorCharsMax
    ? long
    : `${chars.slice(0, problemErrorCharsMax - 1).join('')}…`;
}
