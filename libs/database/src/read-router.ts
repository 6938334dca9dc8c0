import { ProblemError, type Config, type Metrics } from '@tidemark/runtime';
import type { Query } from './connection.js';
import type { Database } from './database.js';
import { includes, Replica, type Place, type Routed } from './replica.js';
import { Turns } from './turns.js';

export interface ReadRouterOptions {
  database: Database;
  metrics: Metrics;
  routing: Config['readRouting'];
  recentWindowMs: number;
  /** How long a read waits for a replica to come as far as its token. */
  waitMs?: number;
  /** Reads that the primary serves at the same time; beyond, they wait for their turn, and are then refused. */
  primaryReadsMax?: number;
  turnWaitMs?: number;
}

/** Half of the primary's connections stay for writes, whatever is read and however far all replicas are behind. */
const PRIMARY_READS_MAX = 6;
const TURNS_WAITING_MAX = 500;
const TURN_WAIT_MS = 1_000;
/** Most of a replica's usual lag, and little beside the rest of a request. */
const WAIT_MS = 50;

/**
 * Serves reads from replicas where that shows no less than the reader may expect, else from the primary.
 *
 * A token is honoured whatever the routing. A read without one is served as of now (`token`), by any replica
 * (`replica`), or as of now where what it reads changed a short while ago (`recent-to-primary`). As of now: by the
 * primary while it has room, else by a replica that is as far.
 */
export class ReadRouter {
  private readonly replicas: readonly Replica[];
  private readonly turns: Turns;
  private readonly waitMs: number;
  private first = 0;
  private readonly reads;
  private readonly waits;

  constructor(private readonly options: ReadRouterOptions) {
    const { database, metrics, waitMs = WAIT_MS, primaryReadsMax, turnWaitMs } = options;
    this.replicas = database.replicas.map((pool) => new Replica(pool));
    this.waitMs = waitMs;
    this.turns = new Turns({
      atOnce: primaryReadsMax ?? PRIMARY_READS_MAX,
      waitingMax: TURNS_WAITING_MAX,
      waitMs: turnWaitMs ?? TURN_WAIT_MS,
    });
    this.reads = metrics.counter('reads_total', 'Routed reads, by who served them and why.', [
      'served_by',
      'reason',
    ]);
    this.waits = metrics.histogram('read_wait_seconds', 'For a replica to come as far as a token.');
  }

  /**
   * `work` only queries, and may run twice: on a replica that gives up, then on the primary.
   *
   * @param ageMs under `recent-to-primary`, how long ago the primary saw a change of what is read; null or no
   * function where it does not know, which counts as recent
   *
   * Errors: `unavailable` where no replica can serve the read and the primary has too many of these already.
   */
  async read<Result>(
    token: Place | null,
    work: (query: Query) => Promise<Result>,
    ageMs?: (query: Query) => Promise<number | null>,
  ): Promise<Routed<Result>> {
    if (this.replicas.length === 0) return this.readPrimary('no-replica', work);
    if (token) return this.readHeldTo(token, work);
    const { routing } = this.options;
    if (routing === 'token') return this.readNow('no-token', work);
    if (routing === 'recent-to-primary' && (await this.isRecent(ageMs))) return this.readNow('recent', work);
    return (await this.readReplica('any', this.awake(), null, work)) ?? this.takeOver('away', work);
  }

  /** Whoever says nothing of what they have seen may have seen everything: a page that is opened anew. */
  private async readNow<Result>(
    reason: string,
    work: (query: Query) => Promise<Result>,
  ): Promise<Routed<Result>> {
    const turn = await this.turns.takeFree(() => this.readPrimary(reason, work));
    return turn ? turn.result : this.readHeldTo(await this.options.database.position(), work);
  }

  private async readHeldTo<Result>(
    token: Place,
    work: (query: Query) => Promise<Result>,
  ): Promise<Routed<Result>> {
    const awake = this.awake();
    const routed = await this.readReplica('reached', awake, token, work);
    if (routed) return routed;
    if (awake.length === 0) return this.takeOver('away', work);
    const place = await this.clamp(token);
    const stop = this.waits.startTimer();
    const caughtUp = await this.firstToReach(awake, place);
    stop();
    return (
      (caughtUp && (await this.readReplica('waited', [caughtUp], place, work))) ??
      this.takeOver('behind', work)
    );
  }

  /** From the first of them that can. */
  private async readReplica<Result>(
    reason: string,
    replicas: readonly Replica[],
    place: Place | null,
    work: (query: Query) => Promise<Result>,
  ): Promise<Routed<Result> | null> {
    for (const replica of replicas) {
      const routed = await replica.read(place, work);
      if (typeof routed === 'string') continue;
      this.reads.inc({ served_by: 'replica', reason });
      return routed;
    }
    return null;
  }

  private async firstToReach(replicas: readonly Replica[], place: Place): Promise<Replica | null> {
    const reaching = replicas.map(async (replica) => {
      if (await replica.reaches(place, this.waitMs)) return replica;
      throw new Error('behind');
    });
    return Promise.any(reaching).catch(() => null);
  }

  /**
   * What a token may ask for: no more than there is, so that one made up costs what an honest one does. Of another
   * history nobody can say what it speaks of, and all that there is by now includes it.
   */
  private async clamp(token: Place): Promise<Place> {
    const now = await this.options.database.position().catch(() => token);
    return includes(now, token) ? token : now;
  }

  private async isRecent(ageMs?: (query: Query) => Promise<number | null>): Promise<boolean> {
    const age = (await ageMs?.(this.onPrimary)) ?? 0;
    return age <= this.options.recentWindowMs;
  }

  private async readPrimary<Result>(
    reason: string,
    work: (query: Query) => Promise<Result>,
  ): Promise<Routed<Result>> {
    this.reads.inc({ served_by: 'primary', reason });
    const result = await work(this.onPrimary);
    // After the read, so that it is past every commit that the read saw.
    return { result, servedBy: 'primary', position: await this.options.database.position() };
  }

  /** What replicas should have served. Bounded, so that their lag does not become the writers' outage. */
  private async takeOver<Result>(
    reason: string,
    work: (query: Query) => Promise<Result>,
  ): Promise<Routed<Result>> {
    const turn = await this.turns.take(() => this.readPrimary(reason, work));
    if (turn) return turn.result;
    this.reads.inc({ served_by: 'none', reason });
    throw new ProblemError('unavailable', 'The replicas are behind, and the primary is busy.', {
      retryAfterS: 1,
    });
  }

  /** Those that can be tried, in turn. */
  private awake(): Replica[] {
    const { replicas } = this;
    const first = this.first++ % replicas.length;
    return [...replicas.slice(first), ...replicas.slice(0, first)].filter((replica) => replica.mayServe());
  }

  private readonly onPrimary: Query = (statement, parameters) =>
    this.options.database.query(statement, parameters);
}
