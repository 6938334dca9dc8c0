import { Controller, HttpCode, Inject, Post } from '@nestjs/common';
import { createDevToken, nameCharsMax, type CreateDevToken, type DevToken } from '@tidemark/contracts';
import { CONFIG, IdentityStore, Public, signDevToken, ZBody, type Config } from '@tidemark/runtime';

/** A token for whoever one wants to be. In development alone. */
@Public()
@Controller('dev/token')
export class DevTokenController {
  constructor(
    @Inject(CONFIG) private readonly config: Config,
    private readonly users: IdentityStore,
  ) {}

  @Post()
  @HttpCode(200)
  async create(@ZBody(createDevToken) { user, name = user, role }: CreateDevToken): Promise<DevToken> {
    const claims = { sub: user, name: [...name].slice(0, nameCharsMax).join(''), ...(role && { role }) };
    const { token, expiresAt } = signDevToken(this.config.jwtSecret!, claims, {
      audience: this.config.jwtAudience,
    });
    const { id } = await this.users.ensureUser({ ...claims, exp: expiresAt.getTime() / 1000 });
    return { token, userId: id, expiresAt: expiresAt.toISOString() };
  }
}
