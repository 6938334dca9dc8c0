import { Controller, Delete, Get, HttpCode, Patch, Post } from '@nestjs/common';
import type { Consistency } from '@tidemark/channel-log';
import {
  type AddedMembers,
  addMembers,
  type AddMembers,
  type MemberPage,
  type Membership,
  pageQuery,
  type PageQuery,
  routes,
  updateMembership,
  type UpdateMembership,
} from '@tidemark/contracts';
import { CurrentUser, type Identity, ZBody, ZParams, ZQuery } from '@tidemark/runtime';
import { HeldTo, type Answer } from '../answer.js';
import { MembersService } from './members.service.js';

@Controller('v1/channels/:id/members')
export class MembersController {
  constructor(private readonly members: MembersService) {}

  @Get()
  list(
    @CurrentUser() me: Identity,
    @ZParams(routes.listMembers.params) { id }: { id: string },
    @ZQuery(pageQuery) page: PageQuery,
    @HeldTo() consistency: Consistency | null,
  ): Promise<Answer<MemberPage>> {
    return this.members.list(me, id, page, consistency);
  }

  @Post()
  @HttpCode(200)
  add(
    @CurrentUser() me: Identity,
    @ZParams(routes.addMembers.params) { id }: { id: string },
    @ZBody(addMembers) { userIds }: AddMembers,
  ): Promise<Answer<AddedMembers>> {
    return this.members.add(me, id, userIds);
  }

  @Patch('me')
  update(
    @CurrentUser() me: Identity,
    @ZParams(routes.updateMembership.params) { id }: { id: string },
    @ZBody(updateMembership) body: UpdateMembership,
  ): Promise<Answer<Membership>> {
    return this.members.update(me, id, body);
  }

  @Delete(':userId')
  @HttpCode(204)
  remove(
    @CurrentUser() me: Identity,
    @ZParams(routes.removeMember.params) { id, userId }: { id: string; userId: string },
  ): Promise<Answer<void>> {
    return this.members.remove(me, id, userId);
  }
}
