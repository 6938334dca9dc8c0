import { Inject, Injectable } from '@nestjs/common';
import { Reconciler, showDrift } from '@tidemark/channel-log';
import { LOG, Metrics, type Log } from '@tidemark/runtime';

const membersMax = 300;

/** Audits a few members at a time, from a random one on, so that a drift is noticed though nobody looks for it. */
@Injectable()
export class DriftSampling {
  private readonly checked;
  private readonly found;
  private readonly drifted;

  constructor(
    @Inject(LOG) private readonly appLog: Log,
    @Inject(Metrics) metrics: Metrics,
    @Inject(Reconciler) private readonly reconciler: Reconciler,
  ) {
    this.checked = metrics.counter('audited_members_total', 'Members that were audited in samples.');
    this.found = metrics.counter('drifts_total', 'Drifts that samples have found, by what was wrong.', [
      'what',
    ]);
    this.drifted = metrics.gauge('drifted_members', 'Members of the last sample that were wrong.');
  }

  /** How many members of the sample have drifted. Nothing is changed: repairing is for who was told. */
  async run(): Promise<number> {
    const { checked, drifts } = await this.reconciler.sample(membersMax);
    const members = new Set(drifts.map(({ channelId, userId }) => `${channelId}:${userId}`));
    this.checked.inc(checked);
    this.drifted.set(members.size);
    for (const drift of drifts) {
      this.found.inc({ what: drift.what });
      this.appLog.error({ drift }, showDrift(drift));
    }
    return members.size;
  }
}
