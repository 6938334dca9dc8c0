import { externalIdCharsMax, nameCharsMax } from '@tidemark/contracts';
import { BadExportError } from './export-files.js';
import type { SlackMessage, SlackUser } from './shapes.js';
import { storable } from './text.js';

/** What names a user at the identity provider: the `sub` of their tokens. */
export const identities = ['id', 'email', 'name'] as const;
export type Identity = (typeof identities)[number];

export interface Person {
  externalId: string;
  name: string;
  picture: string | null;
  kind: 'person' | 'bot';
}

/** Slack itself: it speaks, and nobody is behind it. */
const SLACKBOT = 'USLACKBOT';

const cut = (text: string, charsMax: number): string => [...storable(text)].slice(0, charsMax).join('');
const isPicture = (url: string | undefined): url is string =>
  url !== undefined && url.length <= 2_048 && /^https?:\/\//.test(url) && URL.canParse(url);

/**
 * Everyone who speaks, is named or is a member, by their Slack id. Those whom `users.json` does not list, bots and
 * guests of other workspaces, become known by what they say.
 */
export class People {
  readonly byId = new Map<string, Person>();
  private readonly userOfBot = new Map<string, string>();
  /** Of whom nothing but the id is known. */
  private readonly nameless = new Set<string>();

  constructor(
    listed: readonly SlackUser[],
    private readonly identity: Identity,
  ) {
    for (const user of listed) {
      const { id, profile } = user;
      const isBot = user.is_bot || id === SLACKBOT;
      if (profile?.bot_id) this.userOfBot.set(profile.bot_id, id);
      const known = { id: undefined, email: profile?.email, name: user.name }[identity];
      // Bots have no place in an identity provider, and neither has who has no address.
      this.add(id, {
        externalId: isBot || !known ? undefined : cut(known, externalIdCharsMax),
        name: profile?.display_name || profile?.real_name || user.real_name || user.name,
        picture: profile?.image_192,
        kind: isBot ? 'bot' : 'person',
      });
    }
    this.refuseSame();
  }

  nameOf(id: string): string {
    return this.byId.get(id)?.name ?? id;
  }

  /** Makes sure that there is somebody of this id. */
  meet(id: string): string {
    if (!this.byId.has(id)) {
      this.add(id, { kind: 'person' });
      this.nameless.add(id);
    }
    return id;
  }

  /** Who said it. Of bots that are no users, each integration is one, under the first name that it used. */
  authorOf({ user, comment, subtype, username, bot_id: bot, ...message }: SlackMessage): string {
    const person = user ?? comment?.user;
    if (person !== undefined) {
      const { display_name, real_name, name, image_192: picture } = message.user_profile ?? {};
      if (!this.byId.has(person) || this.nameless.delete(person)) {
        this.add(person, { name: display_name || real_name || name, picture, kind: 'person' });
      }
      return person;
    }
    const id = (bot && this.userOfBot.get(bot)) ?? bot ?? `bot:${username ?? subtype ?? 'unknown'}`;
    if (!this.byId.has(id)) this.add(id, { name: message.bot_profile?.name || username, kind: 'bot' });
    return id;
  }

  private add(
    id: string,
    { externalId, name, picture, kind }: { [Key in keyof Person]?: Person[Key] | undefined },
  ): void {
    this.byId.set(id, {
      externalId: externalId ?? cut(`slack:${id}`, externalIdCharsMax),
      name: cut(name || id, nameCharsMax),
      picture: isPicture(picture ?? undefined) ? picture! : null,
      kind: kind ?? 'person',
    });
  }

  private refuseSame(): void {
    const seen = new Map<string, string>();
    for (const [id, { externalId }] of this.byId) {
      const other = seen.get(externalId);
      if (other !== undefined) {
        throw new BadExportError(
          `users.json: ${other} and ${id} have the same ${this.identity}, ${externalId}: they would be one user`,
        );
      }
      seen.set(externalId, id);
    }
  }
}
