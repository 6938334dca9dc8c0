import { Drain } from './drain.js';
import { Health, type HealthCheck } from './health.js';
import { recordingLog } from './test-support/log-lines.js';
import { startTestApp } from './test-support/test-app.js';

const well = (): Promise<void> => Promise.resolve();
const ill = (): Promise<void> => Promise.reject(new Error('postgres://me:hunter2@host'));

function healthOf(...checks: HealthCheck[]) {
  const { log, text } = recordingLog();
  const drain = new Drain(100, log);
  const health = new Health(drain, log);
  for (const check of checks) health.addCheck(check);
  return { health, drain, text };
}

describe('Health', () => {
  it('is up when all is well', async () => {
    const { health } = healthOf({ name: 'postgres', required: true, check: well });
    expect(await health.readiness()).toEqual({ status: 'up', checks: { postgres: { status: 'up' } } });
  });

  it('is degraded without what it can do without', async () => {
    const { health } = healthOf(
      { name: 'postgres', required: true, check: well },
      { name: 'redis', required: false, check: ill },
    );
    expect(await health.readiness()).toEqual({
      status: 'degraded',
      checks: { postgres: { status: 'up' }, redis: { status: 'degraded' } },
    });
  });

  it('is down without what it needs, whatever else is only degraded', async () => {
    const { health } = healthOf(
      { name: 'redis', required: false, check: ill },
      { name: 'postgres', required: true, check: ill },
    );
    expect((await health.readiness()).status).toBe('down');
  });

  it('takes a check that throws or never answers for one that failed', async () => {
    const { health } = healthOf(
      { name: 'stuck', required: true, check: () => new Promise(() => {}) },
      {
        name: 'throws',
        required: false,
        check: () => {
          throw new Error('x');
        },
      },
    );
    expect((await health.readiness()).checks).toEqual({
      stuck: { status: 'down' },
      throws: { status: 'degraded' },
    });
  });

  it('checks once for probes that come together, and again for the next', async () => {
    const check = jest.fn(well);
    const { health } = healthOf({ name: 'postgres', required: true, check });
    await Promise.all([health.readiness(), health.readiness()]);
    expect(check).toHaveBeenCalledTimes(1);
    await health.readiness();
    expect(check).toHaveBeenCalledTimes(2);
  });

  it('logs a change once, not each probe', async () => {
    let check = ill;
    const { health, text } = healthOf({ name: 'redis', required: false, check: () => check() });
    await health.readiness();
    await health.readiness();
    expect(text().match(/not well/g)).toHaveLength(1);
    check = well;
    await health.readiness();
    expect(text()).toContain('well again');
  });
});

describe('/health and /metrics', () => {
  it('answer anyone, without a token and without an address', async () => {
    const { app, runtime } = await startTestApp();
    const get = (url: string) => app.inject({ url });
    runtime.health.addCheck({ name: 'redis', required: false, check: ill });
    const degraded = await get('/health/ready');
    expect([degraded.statusCode, degraded.json()]).toEqual([
      200,
      { status: 'degraded', checks: { redis: { status: 'degraded' } } },
    ]);
    runtime.health.addCheck({ name: 'postgres', required: true, check: ill });
    const down = await get('/health/ready');
    expect(down.statusCode).toBe(503);
    expect(down.headers['content-type']).toMatch(/^application\/json/);
    expect(down.body).not.toContain('hunter2');
    expect((await get('/health/live')).json()).toEqual({ status: 'up', checks: {} });

    runtime.metrics.counter('messages_total', 'Messages.', ['kind']).inc({ kind: 'user' }, 3);
    runtime.metrics.gauge('lag_seconds', 'Lag.', [], (gauge) => gauge.set(7));
    const metrics = await get('/metrics');
    expect(metrics.headers['content-type']).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(metrics.body).toContain('tidemark_messages_total{kind="user",service="message-api"} 3');
    expect(metrics.body).toContain('tidemark_lag_seconds{service="message-api"} 7');
    expect(metrics.body).toContain('method="GET",route="/health/ready",status="503"} 1');
    expect(metrics.body).toContain('process_cpu_user_seconds_total');
    await app.close();
  });

  it('say while draining that the process is alive and not ready', async () => {
    const { app, runtime } = await startTestApp();
    await runtime.drain.drain();
    expect((await app.inject({ url: '/health/ready' })).statusCode).toBe(503);
    const live = await app.inject({ url: '/health/live' });
    expect([live.statusCode, live.headers.connection]).toEqual([200, 'close']);
    await app.close();
  });
});
