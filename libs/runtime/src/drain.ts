import type { Log } from './log.js';

/**
 * The order in which a process stops:
 *   stop     take no new work (leave the queue, tell sockets to reconnect elsewhere)
 *   finish   end what is under way (the HTTP server closes here, after its last answer)
 *   close    give back what the work needed (pools, Redis)
 * Steps of one stage run in the order of their registration, one after the other.
 */
const STAGES = ['stop', 'finish', 'close'] as const;
export type DrainStage = (typeof STAGES)[number];

interface DrainStep {
  name: string;
  stage: DrainStage;
  run: () => unknown;
}

/** Ctrl-C reaches a process from the terminal and again from npm: within this time it is one signal. */
const ONE_SIGNAL_MS = 300;

export class Drain {
  /** From the first moment of a drain; readiness answers 503 while it is set. */
  draining = false;

  private readonly steps: DrainStep[] = [];
  private running: Promise<boolean> | undefined;

  constructor(
    private readonly drainMs: number,
    private readonly log: Log,
  ) {}

  /** Registers a step. A step that throws is logged, and the next ones still run. */
  onDrain(name: string, run: () => unknown, stage: DrainStage = 'stop'): void {
    this.steps.push({ name, stage, run });
  }

  /** Runs every step once, however often it is called. True: all ended well, and within DRAIN_MS. */
  drain(): Promise<boolean> {
    this.draining = true;
    this.running ??= this.runBounded();
    return this.running;
  }

  /** SIGTERM or SIGINT drains and exits: 0 when all ended in time, 1 when not. A second signal exits 1 at once. */
  installSignals(exit: (code: number) => void = (code) => process.exit(code)): void {
    let firstAt: number | undefined;
    const onSignal = (signal: NodeJS.Signals) => {
      if (firstAt === undefined) {
        firstAt = performance.now();
        this.log.info({ signal }, 'draining');
        void this.drain().then((clean) => exit(clean ? 0 : 1));
      } else if (performance.now() - firstAt > ONE_SIGNAL_MS) {
        this.log.warn({ signal }, 'second signal: leaving without draining');
        exit(1);
      }
    };
    process.on('SIGTERM', onSignal);
    process.on('SIGINT', onSignal);
  }

  private async runBounded(): Promise<boolean> {
    let current = 'none';
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<boolean>((resolve) => {
      timer = setTimeout(() => {
        this.log.error({ step: current, drainMs: this.drainMs }, 'drain took too long: leaving');
        resolve(false);
      }, this.drainMs);
    });
    const all = this.runSteps((name) => (current = name));
    const clean = await Promise.race([all, late]);
    clearTimeout(timer);
    return clean;
  }

  private async runSteps(starting: (name: string) => void): Promise<boolean> {
    let clean = true;
    for (const stage of STAGES) {
      // A filter per stage, not once: a step may register one for a later stage.
      for (const step of this.steps.filter((candidate) => candidate.stage === stage)) {
        starting(step.name);
        try {
          await step.run();
        } catch (err) {
          clean = false;
          this.log.error({ err, step: step.name }, 'drain step failed');
        }
      }
    }
    return clean;
  }
}
