import { createParamDecorator, SetMetadata, type ExecutionContext } from '@nestjs/common';
import type { FastifyRequest } from 'fastify';
import type { Identity } from './identity.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by AuthGuard; absent on routes that are public. */
    identity?: Identity;
  }
}

export const PUBLIC = 'tidemark:public';
export const ADMIN_ONLY = 'tidemark:admin-only';

/** A route, or a controller, that needs no token. Everything else does. */
export const Public = () => SetMetadata(PUBLIC, true);

/** Refused with `forbidden` without `role: "admin"` in the token. */
export const AdminOnly = () => SetMetadata(ADMIN_ONLY, true);

/** The Identity of who asks. */
export const CurrentUser = createParamDecorator((_: unknown, context: ExecutionContext): Identity => {
  const { identity } = context.switchToHttp().getRequest<FastifyRequest>();
  if (!identity) throw new Error('@CurrentUser() on a route that is @Public()');
  return identity;
});
