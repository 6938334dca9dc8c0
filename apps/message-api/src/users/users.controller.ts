import { Controller, Get, HttpCode, Patch, Post } from '@nestjs/common';
import type { Consistency } from '@tidemark/channel-log';
import {
  createUsers,
  routes,
  updateMe,
  type CreatedUsers,
  type CreateUsers,
  type Me,
  type RevokedTokens,
  type UpdateMe,
  type User,
} from '@tidemark/contracts';
import { AdminOnly, CurrentUser, type Identity, ZBody, ZParams } from '@tidemark/runtime';
import { HeldTo, type Answer } from '../answer.js';
import { UsersService } from './users.service.js';

@Controller('v1')
export class UsersController {
  constructor(private readonly users: UsersService) {}

  @Get('me')
  me(@CurrentUser() me: Identity): Promise<Answer<Me>> {
    return this.users.me(me.userId);
  }

  @Patch('me')
  updateMe(@CurrentUser() me: Identity, @ZBody(updateMe) change: UpdateMe): Promise<Answer<Me>> {
    return this.users.updateMe(me.userId, change);
  }

  @Get('users/:id')
  get(
    @ZParams(routes.getUser.params) { id }: { id: string },
    @HeldTo() consistency: Consistency | null,
  ): Promise<Answer<User>> {
    return this.users.get(id, consistency);
  }

  @AdminOnly()
  @Post('users')
  @HttpCode(200)
  create(@ZBody(createUsers) { users }: CreateUsers): Promise<Answer<CreatedUsers>> {
    return this.users.upsert(users);
  }

  @AdminOnly()
  @Post('users/:id/revoke-tokens')
  @HttpCode(200)
  revokeTokens(@ZParams(routes.revokeTokens.params) { id }: { id: string }): Promise<Answer<RevokedTokens>> {
    return this.users.revokeTokens(id);
  }
}
