import type { Channel, ChannelPage, CreatedUsers, Message, SendMessageInput } from '@tidemark/contracts';
import { Database } from '@tidemark/database';
import type { Stack } from './stack.js';

const PEOPLE = [
  { externalId: 'ada', name: 'Ada' },
  { externalId: 'grace', name: 'Grace' },
  { externalId: 'linus', name: 'Linus' },
] as const;
const BOT = { externalId: 'tide-bot', name: 'Tide Bot', kind: 'bot' } as const;

type Nickname = (typeof PEOPLE)[number]['externalId'] | (typeof BOT)['externalId'];

/** Where a newcomer can look around: ada's own #general. */
export interface Community {
  generalId: string;
}

/** Fills an empty database with a few people who talk, through the public API like everybody else. */
export async function seedCommunity(stack: Stack): Promise<Community> {
  const api = new SeedClient(stack);
  const { items: users } = await api.ask<CreatedUsers>('admin', 'POST', '/v1/users', {
    users: [...PEOPLE, BOT],
  });
  const idOf = (nickname: Nickname) => users.find(({ externalId }) => externalId === nickname)!.id;
  const everyoneBut = (nickname: Nickname) =>
    users.filter(({ externalId }) => externalId !== nickname).map(({ id }) => id);

  const general = await api.channel('ada', 'general', 'public', everyoneBut('ada'));
  const random = await api.channel('grace', 'random', 'public', everyoneBut('grace'));
  const launch = await api.channel('ada', 'launch', 'private', [idOf('grace')]);

  const welcome = await general.say('ada', { text: 'Welcome to Tidemark! Say hello when you are in.' });
  await general.say('grace', {
    text: 'Hello @ada, the tide is in.',
    mentions: [idOf('ada')],
    replyTo: welcome.seq,
  });
  await general.say('tide-bot', { text: 'High water at 14:20, low water at 20:35.' });
  await general.say('linus', { text: 'Does a count ever go wrong here?', threadSeq: welcome.seq });
  await general.say('ada', { text: 'Kill a service and recount.', threadSeq: welcome.seq });
  await general.say('linus', { text: '@channel the first release is out on Friday.', mentionsAll: true });

  const question = await random.say('linus', { text: 'Tea or coffee?' });
  await random.say('grace', { text: 'Tea. Always tea.', replyTo: question.seq });
  await random.say('tide-bot', { text: 'Spring tide tomorrow.' });

  await launch.say('ada', {
    text: 'Only the two of us, @grace: is the changelog ready?',
    mentions: [idOf('grace')],
  });
  await launch.say('grace', { text: 'Ready.' });

  // Ada has seen the welcome and no more, Grace has read #general to its end, Linus has not looked at anything.
  await general.read('ada', { seq: welcome.seq });
  await general.read('grace', {});
  await random.read('ada', { seq: question.seq });
  return { generalId: general.id };
}

/** A database that holds no user at all is empty. */
export async function isEmpty(stack: Stack): Promise<boolean> {
  return (await ask(stack, 'SELECT 1 FROM users LIMIT 1')).length === 0;
}

/** Looked up beside the API, which would add ada to a database that has no such user. */
export async function findCommunity(stack: Stack): Promise<Community | null> {
  if ((await ask(stack, `SELECT 1 FROM users WHERE external_id = 'ada'`)).length === 0) return null;
  const { items } = await new SeedClient(stack).ask<ChannelPage>('ada', 'GET', '/v1/channels?limit=100');
  const general = items.find(({ name }) => name === 'general');
  return general ? { generalId: general.id } : null;
}

async function ask({ databaseUrl: url }: Stack, statement: string): Promise<unknown[]> {
  const database = await Database.connect({ url, applicationName: 'tidemark-stack', poolSizeMax: 1 });
  try {
    return (await database.query(statement)).rows;
  } finally {
    await database.close();
  }
}

class SeedClient {
  private sent = 0;

  constructor(private readonly stack: Stack) {}

  async channel(owner: Nickname, name: string, visibility: Channel['visibility'], userIds: string[]) {
    const { id } = await this.ask<Channel>(owner, 'POST', '/v1/channels', { name, visibility });
    const path = `/v1/channels/${id}`;
    await this.ask(owner, 'POST', `${path}/members`, { userIds });
    return {
      id,
      say: (author: Nickname, message: Omit<SendMessageInput, 'clientId'>) =>
        this.ask<Message>(author, 'POST', `${path}/messages`, {
          clientId: `seed-${++this.sent}`,
          ...message,
        }),
      read: (reader: Nickname, upTo: { seq?: number }) => this.ask(reader, 'PUT', `${path}/read`, upTo),
    };
  }

  async ask<Answer>(who: Nickname | 'admin', method: string, path: string, body?: object): Promise<Answer> {
    const { services } = this.stack;
    const [service] = services[path.endsWith('/read') ? 'read-status-service' : 'message-api'];
    const url = `${service?.url}${path}`;
    const name = [...PEOPLE, BOT].find(({ externalId }) => externalId === who)?.name;
    const token = this.stack.token(who, who === 'admin' ? { name: 'Admin', role: 'admin' } : { name });
    const response = await fetch(url, {
      method,
      headers: { authorization: `Bearer ${token}`, ...(body && { 'content-type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${text}`);
    return (text ? JSON.parse(text) : undefined) as Answer;
  }
}
