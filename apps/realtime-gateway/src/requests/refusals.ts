import { Catch, Inject, type ArgumentsHost, type WsExceptionFilter } from '@nestjs/common';
import type { SocketRefusal } from '@tidemark/contracts';
import { LOG, toProblemError, type Log } from '@tidemark/runtime';

/** Any thrown thing as what a socket is told. */
export function refusalOf(error: unknown): SocketRefusal {
  const { code, retryAfterS } = toProblemError(error);
  return { code, ...(retryAfterS !== null && { retryAfterMs: retryAfterS * 1000 }) };
}

/** The last stop of every error of a client's event: its acknowledgement. */
@Catch()
export class SocketRefusals implements WsExceptionFilter {
  constructor(@Inject(LOG) private readonly log: Log) {}

  catch(error: unknown, host: ArgumentsHost): void {
    const refusal = refusalOf(error);
    if (refusal.code === 'internal') {
      this.log.error({ err: error, event: host.switchToWs().getPattern() }, 'a socket event failed');
    }
    // SocketAdapter gives the acknowledgement as the argument after the client and the payload.
    host.getArgByIndex<(answer: object) => void>(2)({ ok: false, ...refusal });
  }
}
