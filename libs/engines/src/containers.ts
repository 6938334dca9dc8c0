import type { StartedTestContainer } from 'testcontainers';
import { IMAGES } from './no-engine.js';
import { type OnProgress, withProgress } from './wait.js';

const STARTUP_TIMEOUT_MS = 60_000;
const PASSWORD = 'tidemark';

/** There is no container engine, or it has no such image and cannot get one. */
class NoContainerError extends Error {
  readonly code = 'NO_CONTAINER';
}

export interface EngineContainer {
  url: string;
  stop: () => Promise<unknown>;
}

export async function startPostgresContainer(onProgress?: OnProgress): Promise<EngineContainer> {
  const container = await start(IMAGES.postgres, onProgress, async () => {
    const { GenericContainer, Wait } = await import('testcontainers');
    return (
      new GenericContainer(IMAGES.postgres)
        .withEnvironment({ POSTGRES_USER: 'tidemark', POSTGRES_PASSWORD: PASSWORD, POSTGRES_DB: 'tidemark' })
        .withCommand(['postgres', '-c', 'max_connections=200', '-c', 'wal_level=replica'])
        .withExposedPorts(5432)
        // The image starts it once to set up and then again for good.
        .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
        .withStartupTimeout(STARTUP_TIMEOUT_MS)
        .start()
    );
  });
  return ended(container, `postgres://tidemark:${PASSWORD}@${address(container, 5432)}/tidemark`);
}

export async function startRedisContainer(onProgress?: OnProgress): Promise<EngineContainer> {
  const container = await start(IMAGES.redis, onProgress, async () => {
    const { GenericContainer, Wait } = await import('testcontainers');
    return new GenericContainer(IMAGES.redis)
      .withCommand(['redis-server', '--save', '', '--maxmemory-policy', 'noeviction'])
      .withExposedPorts(6379)
      .withWaitStrategy(Wait.forLogMessage(/Ready to accept connections/))
      .withStartupTimeout(STARTUP_TIMEOUT_MS)
      .start();
  });
  return ended(container, `redis://${address(container, 6379)}`);
}

/** An engine that answers may still have no image and no way to pull one: only the start tells. */
async function start(
  image: string,
  onProgress: OnProgress | undefined,
  work: () => Promise<StartedTestContainer>,
): Promise<StartedTestContainer> {
  try {
    return await withProgress(`Starting ${image} in a container`, onProgress, work);
  } catch (error) {
    const reason = `No container of ${image}: ${(error as Error).message.split('\n')[0]}`;
    // Testcontainers first starts an image of its own, which removes what a killed run leaves, and says the same of both.
    const hint =
      '(it is here; testcontainers also wants its own ryuk, unless TESTCONTAINERS_RYUK_DISABLED=true)';
    throw new NoContainerError((await isHere(image)) ? `${reason} ${hint}` : reason);
  }
}

async function isHere(image: string): Promise<boolean> {
  const { getContainerRuntimeClient, ImageName } = await import('testcontainers');
  try {
    const { image: images } = await getContainerRuntimeClient();
    return await images.exists(ImageName.fromString(image));
  } catch {
    return false; // no engine at all
  }
}

function address(container: StartedTestContainer, port: number): string {
  return `${container.getHost()}:${container.getMappedPort(port)}`;
}

function ended(container: StartedTestContainer, url: string): EngineContainer {
  return { url, stop: () => container.stop() };
}
