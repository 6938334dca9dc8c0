import { z } from 'zod';

/** `degraded`: serves, and says that something it can do without is away. `down` answers 503. */
export const healthStatus = z.enum(['up', 'degraded', 'down']);
export type HealthStatus = z.infer<typeof healthStatus>;

/** `status` is the worst of `checks`, where only what the service cannot do without counts as `down`. */
export const health = z
  .object({
    status: healthStatus,
    checks: z.record(z.string(), z.object({ status: healthStatus, detail: z.string().optional() })),
  })
  .meta({ id: 'Health' });
export type Health = z.infer<typeof health>;
