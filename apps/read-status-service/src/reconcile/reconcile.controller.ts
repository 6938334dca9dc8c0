import { Controller, Headers, HttpCode, Inject, Post, Res } from '@nestjs/common';
import { Reconciler, showDrift, type Reconciliation } from '@tidemark/channel-log';
import { consistencyTokenHeader, reconcile, type Reconcile, type Reconciled } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import { AdminOnly, LOG, Metrics, ProblemError, ZBody, type Log } from '@tidemark/runtime';
import type { FastifyReply } from 'fastify';
import { consistencyOf, putConsistency } from '../consistency.js';

const retryAfterS = 10;
/** Of one audit; the sums say how many there were. */
const logLinesMax = 100;

@AdminOnly()
@Controller('v1/admin/reconcile')
export class ReconcileController {
  private readonly drifted;
  private underWay = false;

  constructor(
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(Reconciler) private readonly reconciler: Reconciler,
    @Inject(Database) private readonly database: Database,
  ) {
    this.drifted = metrics.gauge(
      'drifted_members',
      'Members that the last audit of this process found, and left, wrong.',
    );
  }

  /** Errors: `unavailable`, while this process is at it already. */
  @Post()
  @HttpCode(200)
  async reconcile(
    @Headers(consistencyTokenHeader) token: string | undefined,
    @ZBody(reconcile) { repair }: Reconcile,
    @Res({ passthrough: true }) reply: FastifyReply,
  ): Promise<Reconciled> {
    // The primary, audited now, includes whatever a token speaks of.
    consistencyOf(token);
    if (this.underWay) throw new ProblemError('unavailable', 'An audit is under way.', { retryAfterS });
    this.underWay = true;
    try {
      const sums = await this.run(repair);
      await putConsistency(reply, this.database, 'primary');
      return this.note(sums);
    } finally {
      this.underWay = false;
    }
  }

  private run(repair: boolean): Promise<Reconciliation> {
    let lines = 0;
    return this.reconciler.reconcile({
      repair,
      onDrift: (drift) => {
        if (lines++ < logLinesMax) this.appLog.error({ drift }, showDrift(drift));
      },
    });
  }

  private note(sums: Reconciliation): Reconciled {
    this.drifted.set(sums.drifted - sums.repaired);
    if (sums.drifted > 0) this.appLog.error(sums, 'reconciled');
    return sums;
  }
}
