import { Inject, Injectable, type CanActivate, type ExecutionContext } from '@nestjs/common';
import { Reflector } from '@nestjs/core';
import type { FastifyRequest } from 'fastify';
import { ProblemError } from '../problems.js';
import { unauthenticated } from './claims.js';
import { ADMIN_ONLY, PUBLIC } from './decorators.js';
import { Authenticator } from './identity.js';
import { UserRates } from './user-rates.js';

/** Stands before every HTTP route: one that is not @Public() needs a valid token. */
@Injectable()
export class AuthGuard implements CanActivate {
  constructor(
    @Inject(Reflector) private readonly reflector: Reflector,
    @Inject(Authenticator) private readonly authenticator: Authenticator,
    @Inject(UserRates) private readonly rates: UserRates,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    if (context.getType() !== 'http' || this.isMarked(context, PUBLIC)) return true;
    const request = context.switchToHttp().getRequest<FastifyRequest>();
    request.identity = await this.authenticator.authenticate(bearerToken(request.headers.authorization));
    this.rates.take(request.identity.userId);
    if (this.isMarked(context, ADMIN_ONLY) && !request.identity.isAdmin) {
      throw new ProblemError('forbidden', 'This is for administrators.');
    }
    return true;
  }

  private isMarked(context: ExecutionContext, mark: string): boolean {
    return (
      this.reflector.getAllAndOverride<boolean>(mark, [context.getHandler(), context.getClass()]) === true
    );
  }
}

function bearerToken(header: string | undefined): string {
  const [, token] = /^Bearer +(\S+) *$/i.exec(header ?? '') ?? [];
  if (token === undefined) throw unauthenticated('This needs the header "Authorization: Bearer <token>".');
  return token;
}
