import type { Version } from '@tidemark/testing';

/** A user of the replay: somebody of the logs, or one of those who only listen. */
export class Person {
  /** Given by POST /v1/users. */
  id = '';
  /** Where the person stands by the last answer they saw, per channel: what a client would keep. */
  readonly stands = new Map<string, Version>();
  /** Reads no more: what was acknowledged last must last, with nothing after it to cover a loss. */
  quiet = false;
  private readonly turns = new Map<string, Promise<unknown>>();
  private readonly tokens = new Map<string, string>();

  constructor(
    readonly externalId: string,
    readonly name: string,
    private readonly sign: (externalId: string, name: string) => string,
  ) {}

  /** A token under the nick of the moment: a rename renames the user. */
  token(name = this.name): string {
    let token = this.tokens.get(name);
    if (token === undefined) {
      token = this.sign(this.externalId, name);
      this.tokens.set(name, token);
    }
    return token;
  }

  /**
   * One after the other: joins, parts, mark-unreads and sends with readTo of a person in a channel, so that the
   * ledger knows which came first. Reads need no turn; they may come in any order.
   */
  async inTurn<Result>(channelId: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.turns.get(channelId) ?? Promise.resolve();
    const turn = before.then(work, work);
    this.turns.set(
      channelId,
      turn.catch(() => undefined),
    );
    return turn;
  }

  /** Of two versions the higher is newer. */
  sees(channelId: string, version: Version): void {
    const { term, cursor } = version;
    const held = this.stands.get(channelId);
    if (!held || held.term < term || (held.term === term && held.cursor < cursor)) {
      this.stands.set(channelId, { term, cursor });
    }
  }
}
