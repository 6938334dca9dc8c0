import { Module, type DynamicModule, type Type } from '@nestjs/common';
import { APP_GUARD, ModuleRef } from '@nestjs/core';
import { AuthGuard } from './auth/auth.guard.js';
import { Authenticator, IdentityStore } from './auth/identity.js';
import { Revocations } from './auth/revocations.js';
import { TokenVerifier } from './auth/token-verifier.js';
import { UserRates } from './auth/user-rates.js';
import type { Config } from './config.js';
import { Drain } from './drain.js';
import { Health, HealthController } from './health.js';
import { createLog, LOG, type Log } from './log.js';
import { Metrics, MetricsController } from './metrics.js';
import { isTemporary } from './temporary-errors.js';

/** Injection token of the process's Config: `@Inject(CONFIG) config: Config`. */
export const CONFIG = Symbol('Config');

/** What every process has one of. */
export interface Runtime {
  config: Config;
  log: Log;
  metrics: Metrics;
  health: Health;
  drain: Drain;
}

export function createRuntime(config: Config, log: Log = createLog(config)): Runtime {
  const drain = new Drain(config.drainMs, log);
  return { config, log, drain, metrics: new Metrics(config.service), health: new Health(drain, log) };
}

/** Makes a Runtime injectable everywhere, and puts the guard before every route. */
@Module({})
export class RuntimeModule {
  static around(rootModule: Type | DynamicModule, runtime: Runtime): DynamicModule {
    return {
      module: RuntimeModule,
      global: true,
      imports: [rootModule],
      controllers: [HealthController, MetricsController],
      providers: [
        { provide: CONFIG, useValue: runtime.config },
        { provide: LOG, useValue: runtime.log },
        { provide: Metrics, useValue: runtime.metrics },
        { provide: Health, useValue: runtime.health },
        { provide: Drain, useValue: runtime.drain },
        { provide: TokenVerifier, useFactory: () => new TokenVerifier(runtime.config) },
        {
          provide: Revocations,
          useFactory: (modules: ModuleRef) => createRevocations(runtime, modules),
          inject: [ModuleRef],
        },
        {
          provide: Authenticator,
          useFactory: createAuthenticator,
          inject: [TokenVerifier, Revocations, ModuleRef],
        },
        { provide: UserRates, useFactory: () => new UserRates(runtime.config.userRequestsPerS) },
        { provide: APP_GUARD, useClass: AuthGuard },
      ],
      exports: [CONFIG, LOG, Metrics, Health, Drain, TokenVerifier, Revocations, Authenticator],
    };
  }
}

/** The store belongs to a module that needs our Config in turn: looked up when first used, not when built. */
function createAuthenticator(
  verifier: TokenVerifier,
  revocations: Revocations,
  modules: ModuleRef,
): Authenticator {
  const ensureUser: IdentityStore['ensureUser'] = (claims) => identityStore(modules).ensureUser(claims);
  return new Authenticator(verifier, { ensureUser }, revocations);
}

function createRevocations({ log }: Runtime, modules: ModuleRef): Revocations {
  return new Revocations(
    (withinMs) => identityStore(modules).revokedWithin(withinMs),
    (err) => log[isTemporary(err) ? 'debug' : 'error']({ err }, 'revocations'),
  );
}

const identityStore = (modules: ModuleRef): IdentityStore => modules.get(IdentityStore, { strict: false });
