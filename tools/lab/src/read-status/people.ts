import { createChannel, createUsers, type CreatedUser } from '@tidemark/testing';
import type { Lab } from './lab.js';

const USERS_PER_STATEMENT = 20_000;

/** Users that the lab made: the same for every strategy. */
export class People {
  private readonly everyone: CreatedUser[] = [];
  private readonly tokens = new Map<string, string>();

  constructor(private readonly lab: Lab) {}

  /** The first so many, made where they are not there yet. */
  async first(count: number): Promise<CreatedUser[]> {
    while (this.everyone.length < count) {
      const more = Math.min(USERS_PER_STATEMENT, count - this.everyone.length);
      this.everyone.push(...(await createUsers(this.lab.pool, more)));
    }
    return this.everyone.slice(0, count);
  }

  /** Signed when asked for: most of a hundred thousand never say a word. */
  token({ externalId }: CreatedUser): string {
    let token = this.tokens.get(externalId);
    if (token === undefined) this.tokens.set(externalId, (token = this.lab.token(externalId)));
    return token;
  }

  /** Each start of the services has a secret of its own. */
  forgetTokens(): void {
    this.tokens.clear();
  }
}

/** A channel as the lab knows it, by what it did itself and saw acknowledged. */
export class Channel {
  head: number;
  private readonly cursors = new Map<string, number>();

  private constructor(
    readonly id: string,
    readonly members: readonly CreatedUser[],
    private readonly joinedSeq: number,
  ) {
    this.head = joinedSeq;
  }

  static async open(lab: Lab, members: readonly CreatedUser[]): Promise<Channel> {
    const memberIds = members.map(({ id }) => id);
    const { id, headSeq } = await createChannel(lab.pool, { ownerId: memberIds[0]!, memberIds });
    return new Channel(id, members, headSeq);
  }

  /** One that is there already, and was never read since `headSeq`. */
  static at(id: string, members: readonly CreatedUser[], headSeq: number): Channel {
    return new Channel(id, members, headSeq);
  }

  /** Everyone's count goes up with a message but its author's. */
  increments(messages: number): number {
    return messages * (this.members.length - 1);
  }

  /** The owner entered one event before the others. */
  get joined(): number {
    return this.joinedSeq;
  }

  cursorOf({ id }: CreatedUser): number {
    const entered = id === this.members[0]!.id ? this.joinedSeq - 1 : this.joinedSeq;
    return Math.max(entered, this.cursors.get(id) ?? 0);
  }

  /** A read was acknowledged. */
  read({ id }: CreatedUser, seq: number): void {
    this.cursors.set(id, Math.max(seq, this.cursors.get(id) ?? 0));
  }

  hasRead({ id }: CreatedUser): boolean {
    return this.cursors.has(id);
  }
}

/** Sends of one user, through message-api. */
export async function send(lab: Lab, people: People, channel: Channel, author: CreatedUser): Promise<number> {
  const { status, body } = await lab.http.request({
    method: 'POST',
    url: `${lab.url('message-api')}/v1/channels/${channel.id}/messages`,
    token: people.token(author),
    body: { clientId: nextClientId(), text: TEXT },
  });
  if (status !== 201) throw new Error(`A send was answered ${status}: ${JSON.stringify(body)}`);
  const { seq } = body as { seq: number };
  channel.head = Math.max(channel.head, seq);
  return seq;
}

const TEXT = 'The tide is in: high water at 14:20, low water at 20:35, wind from the north-west at six.';
let sent = 0;
const nextClientId = (): string => `lab-${process.pid}-${sent++}`;
