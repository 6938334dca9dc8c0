import type { User } from '@tidemark/contracts';
import { ChatError } from './chat-error.js';
import type { Connection } from './connection.js';

const usersMax = 10_000;
const usersAtOnceMax = 100;

/** Who people are, as events have told or the gateway was asked; beyond a limit, those who were told of last. */
export class Profiles {
  private readonly known = new Map<string, User>();

  constructor(
    private readonly connection: Connection,
    private readonly onChange: () => void,
  ) {}

  get(id: string): User | undefined {
    return this.known.get(id);
  }

  /** @throws ChatError */
  async query(ids: readonly string[]): Promise<User[]> {
    const missing = [...new Set(ids)].filter((id) => !this.known.has(id));
    for (let from = 0; from < missing.length; from += usersAtOnceMax) {
      const asked = missing.slice(from, from + usersAtOnceMax);
      const answer = await this.connection.say('users.query', { ids: asked });
      if (!answer?.ok) throw new ChatError(answer?.code ?? 'no-answer', 'The users could not be asked for.');
      this.meet(answer.users);
    }
    return ids.flatMap((id) => this.known.get(id) ?? []);
  }

  meet(users: readonly User[]): void {
    for (const user of users) {
      this.known.delete(user.id);
      this.known.set(user.id, user);
    }
    for (const id of this.known.keys()) {
      if (this.known.size <= usersMax) break;
      this.known.delete(id);
    }
    this.onChange();
  }
}
