import type { ServiceName } from '@tidemark/contracts';
import { waitFor } from '@tidemark/engines';
import type { ReplayedInstance } from '@tidemark/replay';
import { docker } from './docker.js';

const healthyWithinMs = 180_000;
const askEveryMs = 500;

interface Inspected {
  State: { ExitCode: number; OOMKilled: boolean; Health?: { Status: string } };
  /** How often Docker had to start it again by itself. */
  RestartCount: number;
  NetworkSettings: { Ports: Record<string, { HostIp: string; HostPort: string }[] | null> };
}

async function inspect(id: string): Promise<Inspected> {
  return (JSON.parse(await docker('container', 'inspect', id)) as [Inspected])[0];
}

/** Where a port of a container is on this host. */
export async function publishedAt(id: string): Promise<string> {
  const { NetworkSettings } = await inspect(id);
  const [published] = Object.values(NetworkSettings.Ports).flatMap((ports) => ports ?? []);
  if (!published) throw new Error(`Container ${id} has no port on this host`);
  return `${published.HostIp}:${published.HostPort}`;
}

/** One container of a service. It is restarted as an upgrade does it, and not only by ending. */
export class ServiceContainer implements ReplayedInstance {
  private constructor(
    readonly name: ServiceName,
    readonly index: number,
    private readonly id: string,
    private address: string,
  ) {}

  static async of(name: ServiceName, index: number, id: string): Promise<ServiceContainer> {
    return new ServiceContainer(name, index, id, await publishedAt(id));
  }

  get url(): string {
    return `http://${this.address}`;
  }

  /** Resolves when it has ended, and Docker starts it again. Throws where SIGTERM did not suffice. */
  async kill(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    // `stop` sends SIGTERM, and SIGKILL after the grace period of compose.yaml.
    await (signal === 'SIGTERM' ? docker('stop', this.id) : docker('kill', '--signal', signal, this.id));
    const { State } = await inspect(this.id);
    if (signal === 'SIGTERM' && State.ExitCode !== 0) {
      const why = State.OOMKilled ? ', out of memory' : '';
      throw new Error(`${this.name} ${this.index + 1} did not drain: exit code ${State.ExitCode}${why}`);
    }
    await docker('start', this.id);
  }

  /** Resolves when Docker calls it healthy. */
  async started(): Promise<void> {
    const isHealthy = async () => (await inspect(this.id)).State.Health?.Status === 'healthy';
    await waitFor(`${this.name} ${this.index + 1} to be healthy`, isHealthy, {
      ...{ timeoutMs: healthyWithinMs, everyMs: askEveryMs },
    });
    // A port that Docker chose is another one after a start.
    this.address = await publishedAt(this.id);
  }

  async endsUnasked(): Promise<number> {
    return (await inspect(this.id)).RestartCount;
  }
}
