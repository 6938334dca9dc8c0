import { nameCharsMax } from '@tidemark/contracts';
import { clientIdOf, draftsOf, isMessage, type Draft } from './drafts.js';
import { BadExportError, type ExportFiles } from './export-files.js';
import { openFiles } from './files.js';
import { People, type Identity } from './people.js';
import { readList, slackConversation, slackMessage, slackUser, type SlackConversation } from './shapes.js';
import { storable, type Names } from './text.js';

/** A channel, a private one, or people who write to each other. */
export interface Conversation {
  id: string;
  name: string;
  visibility: 'public' | 'private';
  creatorId: string | null;
  createdAt: Date | null;
  archived: boolean;
  memberIds: string[];
  /** Its days, in order. */
  files: string[];
}

/** The lists of conversations, and what folder each has its days in. Only the first is in every export. */
const lists = [
  { file: 'channels.json', visibility: 'public', folder: 'name' },
  { file: 'groups.json', visibility: 'private', folder: 'name' },
  { file: 'mpims.json', visibility: 'private', folder: 'name' },
  { file: 'dms.json', visibility: 'private', folder: 'id' },
] as const;
const dayFile = /^[^/]+\/\d{4}-\d{2}-\d{2}\.json$/;

/** A workspace as Slack exports it. Read as it is needed: no more than one day of one channel is in memory. */
export class SlackExport {
  private constructor(
    private readonly files: ExportFiles,
    readonly people: People,
    readonly conversations: readonly Conversation[],
    /** Folders with days of no conversation that is listed. */
    readonly unlisted: readonly string[],
  ) {
    this.channelNames = new Map(conversations.map(({ id, name }) => [id, name]));
  }
  private readonly channelNames: ReadonlyMap<string, string>;

  static async open(path: string, identity: Identity): Promise<SlackExport> {
    const files = await openFiles(path);
    try {
      return await SlackExport.of(files, identity);
    } catch (error) {
      files.close();
      throw error;
    }
  }

  private static async of(files: ExportFiles, identity: Identity): Promise<SlackExport> {
    const has = new Set(files.names);
    const usersFile = ['users.json', 'org_users.json'].find((name) => has.has(name));
    if (usersFile === undefined) throw new BadExportError('there is no users.json: this is no Slack export');
    if (!has.has('channels.json'))
      throw new BadExportError('there is no channels.json: this is no Slack export');
    const people = new People(readList(usersFile, await files.read(usersFile), slackUser), identity);

    const daysOf = new Map<string, string[]>();
    for (const name of files.names.filter((file) => dayFile.test(file)).sort()) {
      const folder = name.split('/')[0]!;
      const days = daysOf.get(folder);
      if (days) days.push(name);
      else daysOf.set(folder, [name]);
    }
    const conversations: Conversation[] = [];
    const ids = new Set<string>();
    for (const { file, visibility, folder } of lists) {
      if (!has.has(file)) continue;
      for (const listed of readList(file, await files.read(file), slackConversation)) {
        const name = listed[folder];
        if (name === undefined) throw new BadExportError(`${file}: ${listed.id} has no name`);
        if (ids.has(listed.id)) throw new BadExportError(`${file}: ${listed.id} is listed twice`);
        ids.add(listed.id);
        const days = daysOf.get(name) ?? [];
        daysOf.delete(name);
        conversations.push(conversationOf(listed, { visibility, people, days }));
      }
    }
    return new SlackExport(files, people, conversations, [...daysOf.keys()]);
  }

  /** Its messages in time order, each once, and a reply after what it replies to. The same in every run. */
  async *drafts({ files }: Conversation): AsyncGenerator<Draft> {
    /** By clientId, whether it may have replies. */
    const seen = new Map<string, boolean>();
    for (const file of files) {
      const messages = readList(file, await this.files.read(file), slackMessage).filter(isMessage);
      // Zeros before, so that text sorts as the numbers do.
      const order = new Map(messages.map((message) => [message, message.ts.padStart(17, '0')]));
      messages.sort((a, b) => (order.get(a)! < order.get(b)! ? -1 : 1));
      for (const message of messages) {
        const { ts, thread_ts: threadTs } = message;
        if (seen.has(clientIdOf(ts))) continue;
        const root = threadTs !== undefined && threadTs !== ts ? clientIdOf(threadTs) : null;
        // Of a thread whose beginning the export lacks, the replies stand in the channel.
        const isReply = root !== null && seen.get(root) === true;
        seen.set(clientIdOf(ts), !isReply);
        yield* draftsOf(message, { people: this.people, names: this.names, root: isReply ? root : null });
      }
    }
  }

  close(): void {
    this.files.close();
  }

  private get names(): Names {
    return {
      user: (id, label) => this.people.byId.get(id)?.name ?? label ?? id,
      channel: (id) => this.channelNames.get(id) ?? id,
    };
  }
}

function conversationOf(
  { id, name, creator, created, is_archived: archived, members }: SlackConversation,
  { visibility, people, days }: Pick<Conversation, 'visibility'> & { people: People; days: string[] },
): Conversation {
  const memberIds = [...new Set(members)].map((member) => people.meet(member));
  // People who write to each other have no name for it but their own.
  const isUnnamed = name === undefined || name.startsWith('mpdm-');
  const shown = isUnnamed ? memberIds.map((member) => people.nameOf(member)).join(', ') : name;
  return {
    ...{ id, visibility, archived, memberIds, files: days },
    name: [...storable(shown || id)].slice(0, nameCharsMax).join(''),
    creatorId: creator ? people.meet(creator) : null,
    createdAt: created === undefined ? null : new Date(created * 1_000),
  };
}
