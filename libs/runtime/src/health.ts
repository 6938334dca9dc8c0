import { Controller, Get, Inject, Res } from '@nestjs/common';
import type { Health as Readiness, HealthStatus } from '@tidemark/contracts';
import type { FastifyReply } from 'fastify';
import { Public } from './auth/decorators.js';
import type { Drain } from './drain.js';
import type { Log } from './log.js';

export interface HealthCheck {
  name: string;
  /** A process without it cannot serve; without any other it serves less well (`degraded`). */
  required: boolean;
  /** Rejects where the thing is not well. */
  check: () => Promise<unknown>;
}

const CHECK_MS = 1_000;

/** Knows what a process needs and whether it has it. Answers are plain words: probes are public, addresses are not. */
export class Health {
  private readonly checks: HealthCheck[] = [];
  private readonly failing = new Set<string>();
  private underWay: Promise<Readiness> | undefined;

  constructor(
    private readonly drain: Drain,
    private readonly log: Log,
  ) {}

  addCheck(check: HealthCheck): void {
    this.checks.push(check);
  }

  /** Probes that come together share one round of checks, so that probing cannot become a load. */
  readiness(): Promise<Readiness> {
    this.underWay ??= this.runChecks().finally(() => (this.underWay = undefined));
    return this.underWay;
  }

  private async runChecks(): Promise<Readiness> {
    const statuses = await Promise.all(this.checks.map((check) => this.run(check)));
    const down = this.drain.draining || statuses.includes('down');
    return {
      status: down ? 'down' : statuses.includes('degraded') ? 'degraded' : 'up',
      checks: Object.fromEntries(this.checks.map(({ name }, i) => [name, { status: statuses[i] ?? 'down' }])),
    };
  }

  private async run({ name, required, check }: HealthCheck): Promise<HealthStatus> {
    let timer: NodeJS.Timeout | undefined;
    try {
      const late = new Promise<never>((_, reject) => {
        timer = setTimeout(() => reject(new Error(`no answer in ${CHECK_MS} ms`)), CHECK_MS);
      });
      await Promise.race([check(), late]);
      if (this.failing.delete(name)) this.log.info({ check: name }, 'well again');
      return 'up';
    } catch (err) {
      // Said when it changes, not at every probe.
      if (!this.failing.has(name)) this.log.warn({ err, check: name }, 'not well');
      this.failing.add(name);
      return required ? 'down' : 'degraded';
    } finally {
      clearTimeout(timer);
    }
  }
}

@Public()
@Controller('health')
export class HealthController {
  constructor(@Inject(Health) private readonly health: Health) {}

  @Get('live')
  live(): Readiness {
    return { status: 'up', checks: {} };
  }

  @Get('ready')
  async ready(@Res({ passthrough: true }) reply: FastifyReply): Promise<Readiness> {
    const readiness = await this.health.readiness();
    reply.status(readiness.status === 'down' ? 503 : 200);
    return readiness;
  }
}
