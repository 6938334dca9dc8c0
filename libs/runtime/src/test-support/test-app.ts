import { Controller, Delete, Get, HttpCode, Module, Post, type Type } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type { TokenClaims } from '@tidemark/contracts';
import { z } from 'zod';
import { AdminOnly, CurrentUser, Public } from '../auth/decorators.js';
import { signDevToken } from '../auth/dev-token.js';
import { IdentityStore, type Identity, type KnownUser } from '../auth/identity.js';
import { createHttpApp, type HttpAppOptions } from '../http/http-app.js';
import { ZBody, ZParams, ZQuery } from '../http/validation.js';
import type { Log } from '../log.js';
import { createRuntime, type Runtime } from '../runtime.js';
import { SECRET, testConfig } from './config.js';

const thing = z.strictObject({ name: z.string().min(1).max(8), tags: z.array(z.string()).optional() });
const thingPath = z.strictObject({ id: z.string().regex(/^\d+$/) });

/** What the next call of GET /throws throws. */
export const thrown: { error: unknown } = { error: null };

@Controller()
class ThingsController {
  @Get('me')
  me(@CurrentUser() user: Identity) {
    return user;
  }

  @AdminOnly()
  @Get('admin')
  admin() {
    return { ok: true };
  }

  @Public()
  @Post('things')
  create(@ZBody(thing) body: unknown) {
    return { body };
  }

  @Public()
  @Post('anything')
  @HttpCode(200)
  anything(@ZBody(z.unknown()) body: unknown) {
    return { body };
  }

  @Public()
  @Get('things/:id')
  find(
    @ZParams(thingPath) path: unknown,
    @ZQuery(z.strictObject({ limit: z.string().optional() })) query: unknown,
  ) {
    return { path, query };
  }

  @Public()
  @Delete('things/:id')
  @HttpCode(204)
  remove() {}

  @Public()
  @Get('throws')
  throws() {
    throw thrown.error;
  }
}

class MemoryIdentityStore extends IdentityStore {
  readonly ensured: TokenClaims[] = [];

  ensureUser(claims: TokenClaims): Promise<KnownUser> {
    this.ensured.push(claims);
    return Promise.resolve({ id: String(claims.sub.length), tokensValidFrom: null });
  }

  revokedWithin = () => Promise.resolve([]);
}

export interface TestApp {
  app: NestFastifyApplication;
  runtime: Runtime;
  store: MemoryIdentityStore;
}

export async function startTestApp(
  options: {
    env?: Record<string, string | undefined>;
    log?: Log;
    http?: HttpAppOptions;
    controllers?: Type[];
  } = {},
): Promise<TestApp> {
  const store = new MemoryIdentityStore();

  @Module({
    controllers: [ThingsController, ...(options.controllers ?? [])],
    providers: [{ provide: IdentityStore, useValue: store }],
    exports: [IdentityStore],
  })
  class ThingsModule {}

  const runtime = createRuntime(testConfig(options.env), options.log);
  const app = await createHttpApp(ThingsModule, runtime, options.http);
  await app.init();
  await app.getHttpAdapter().getInstance().ready();
  return { app, runtime, store };
}

export const tokenFor = (
  sub: string,
  more: { name?: string; role?: 'admin' } = {},
  expiresInS = 60,
): string => signDevToken(SECRET, { sub, ...more }, { expiresInS }).token;

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
