import type { ClientEvent, RouteName, ServiceName, Visibility } from '@tidemark/contracts';
import { mark } from './guarded-stack.js';
import type { Answer, Person } from './person.js';

export const roles = ['owner', 'member', 'former', 'stranger'] as const;
export type Role = (typeof roles)[number];

/** A channel in which the author has written, and in which more was written since the former member left. */
export interface Scene {
  channelId: string;
  visibility: Visibility;
  /** A message of the author. */
  seq: number;
  author: Person;
  newcomer: Person;
}

/** What became of it: `ok`, a problem's code, or whether the channel was shown where a list is of everything. */
type Outcome = string;
type Rights = Record<Role, Outcome>;

export interface Row {
  what: string;
  ask: (me: Person, scene: Scene) => Promise<Outcome>;
  rights: (visibility: Visibility) => Rights;
  /** Where it is allowed, the scene is another one afterwards. */
  spends?: true;
}

const anyone: Rights = { owner: 'ok', member: 'ok', former: 'ok', stranger: 'ok' };
const administrators: Rights = {
  ...{ owner: 'forbidden', member: 'forbidden', former: 'forbidden', stranger: 'forbidden' },
};
const own: Rights = { owner: 'shown', member: 'shown', former: 'hidden', stranger: 'hidden' };
const noneButMembers = (visibility: Visibility): Rights => {
  const refused = visibility === 'private' ? 'not-found' : 'forbidden';
  return { owner: 'ok', member: 'ok', former: refused, stranger: refused };
};
const ownerAlone = (visibility: Visibility): Rights => ({
  ...noneButMembers(visibility),
  member: 'forbidden',
});
const membersOrPublic = (visibility: Visibility): Rights =>
  visibility === 'public' ? anyone : noneButMembers(visibility);
const always = (rights: Rights) => () => rights;

const outcomeOf = ({ status, body }: Answer): Outcome =>
  status < 400 ? 'ok' : (body.code ?? String(status));
const acknowledged = (answer: Record<string, unknown>): Outcome =>
  answer['ok'] ? 'ok' : String(answer['code']);
const shownIn = (found: unknown, { channelId }: Scene): Outcome =>
  JSON.stringify(found).includes(`"${channelId}"`) ? 'shown' : 'hidden';

type Path = string | ((scene: Scene, me: Person) => string);

/** A body may be made of the scene, as a path may. */
const on =
  (service: ServiceName) =>
  (method: string, path: Path, body?: unknown) =>
  (me: Person, scene: Scene): Promise<Answer> =>
    me.ask(
      service,
      method,
      typeof path === 'function' ? path(scene, me) : path,
      typeof body === 'function' ? (body as (scene: Scene, me: Person) => unknown)(scene, me) : body,
    );
const api = on('message-api');
const counts = on('read-status-service');

const at =
  (rest = '') =>
  ({ channelId }: Scene) =>
    `/v1/channels/${channelId}${rest}`;
const atMessage =
  (rest = '') =>
  ({ channelId, seq }: Scene) =>
    `/v1/channels/${channelId}/messages/${seq}${rest}`;

const http = (
  what: string,
  ask: (me: Person, scene: Scene) => Promise<Answer>,
  rights: Row['rights'],
): Row => ({ what, ask: async (me, scene) => outcomeOf(await ask(me, scene)), rights });
const spent = (row: Row): Row => ({ ...row, spends: true });
const list = (what: string, ask: (me: Person, scene: Scene) => Promise<Answer>): Row => ({
  what,
  ask: async (me, scene) => shownIn((await ask(me, scene)).body, scene),
  rights: always(own),
});
const said = (
  what: string,
  event: ClientEvent,
  payload: (scene: Scene, me: Person) => unknown,
  rights: Row['rights'],
  { passive = false } = {},
): Row => ({
  what,
  ask: async (me, scene) => acknowledged(await me.say(event, payload(scene, me), { passive })),
  rights,
});
const everywhere = (path: string): Row => http(`GET ${path}`, on('sync-worker')('GET', path), always(anyone));

const reports = ({ channelId, seq }: Scene) => [{ channelId, seq }];
/** What was said when the former member was gone. */
export const lastWords = ({ channelId }: Pick<Scene, 'channelId'>) => `${mark} last words in ${channelId}.`;
const missed = ({ ready: { logEpoch } }: Person, { channelId }: Scene) => ({
  ...{ logEpoch, channels: { [channelId]: 0 } },
});
const heardOf = ({ heard }: Person, scene: Scene): Outcome =>
  heard.some((words) => words.includes(lastWords(scene))) ? 'shown' : 'hidden';
const inChannel = ({ channelId }: Scene) => ({ channelId });
const text = `${mark} said by who asks`;

/** Who may do what, for every route of the contract. */
export const routeRows: Record<RouteName, Row[]> = {
  createDevToken: [
    http('get a development token', api('POST', '/dev/token', { user: 'anyone' }), always(anyone)),
  ],
  getMe: [
    {
      what: 'get oneself, and nobody else',
      ask: async (me, scene) =>
        (await api('GET', '/v1/me')(me, scene)).body['id'] === me.id ? 'ok' : 'other',
      rights: always(anyone),
    },
  ],
  updateMe: [
    {
      what: 'turn their receipts off, and nobody else',
      ask: async (me, scene) => {
        const { body } = await api('PATCH', '/v1/me', { receipts: false })(me, scene);
        return body['id'] === me.id && body['receipts'] === false ? 'ok' : 'other';
      },
      rights: always(anyone),
    },
  ],
  getUser: [
    http(
      'get a user',
      api('GET', ({ author }) => `/v1/users/${author.id}`),
      always(anyone),
    ),
  ],
  createUsers: [
    http(
      'rename a user',
      api('POST', '/v1/users', ({ author }: Scene) => ({
        users: [{ externalId: author.name, name: 'Mallory' }],
      })),
      always(administrators),
    ),
  ],
  revokeTokens: [
    http(
      'revoke the tokens of a user',
      api('POST', ({ author }) => `/v1/users/${author.id}/revoke-tokens`),
      always(administrators),
    ),
  ],
  createChannel: [
    http(
      'create a channel',
      api('POST', '/v1/channels', { name: 'mine', visibility: 'private' }),
      always(anyone),
    ),
  ],
  listChannels: [list('list channels', api('GET', '/v1/channels?limit=100'))],
  getChannel: [http('see the channel', api('GET', at()), membersOrPublic)],
  updateChannel: [
    http('rename the channel', api('PATCH', at(), { name: 'renamed' }), ownerAlone),
    http('archive the channel', api('PATCH', at(), { archived: false }), ownerAlone),
  ],
  listMembers: [http('list members', api('GET', at('/members')), noneButMembers)],
  addMembers: [
    http(
      'add another',
      api('POST', at('/members'), ({ newcomer }: Scene) => ({ userIds: [newcomer.id] })),
      ownerAlone,
    ),
    spent(
      http(
        'add oneself',
        api('POST', at('/members'), (_: Scene, me: Person) => ({ userIds: [me.id] })),
        membersOrPublic,
      ),
    ),
  ],
  removeMember: [
    spent(
      http(
        'remove another',
        api('DELETE', (scene) => at(`/members/${scene.author.id}`)(scene)),
        ownerAlone,
      ),
    ),
    spent(
      http(
        'leave',
        api('DELETE', (scene, me) => at(`/members/${me.id}`)(scene)),
        noneButMembers,
      ),
    ),
  ],
  updateMembership: [http('mute', api('PATCH', at('/members/me'), { muted: true }), noneButMembers)],
  sendMessage: [http('send', api('POST', at('/messages'), { clientId: 'matrix', text }), noneButMembers)],
  listMessages: [http('read the history', api('GET', at('/messages?limit=100')), noneButMembers)],
  getMessage: [http('read a message', api('GET', atMessage()), noneButMembers)],
  editMessage: [http('edit a message of another', api('PATCH', atMessage(), { text }), ownerAlone)],
  deleteMessage: [http('delete a message of another', api('DELETE', atMessage()), ownerAlone)],
  listEvents: [http('read the log', api('GET', at('/events?after=0')), noneButMembers)],
  createWebhook: [
    http(
      'have everything sent to them',
      api('POST', '/v1/webhooks', { url: 'https://hooks.example/' }),
      always(administrators),
    ),
  ],
  listWebhooks: [http('list webhooks', api('GET', '/v1/webhooks'), always(administrators))],
  deleteWebhook: [http('delete a webhook', api('DELETE', '/v1/webhooks/1'), always(administrators))],
  enableWebhook: [http('enable a webhook', api('POST', '/v1/webhooks/1/enable'), always(administrators))],
  getUnread: [list('count all that is unread', counts('GET', '/v1/unread'))],
  queryUnread: [
    list(
      'count what is unread here',
      counts('POST', '/v1/unread/query', ({ channelId }: Scene) => ({ channelIds: [channelId] })),
    ),
  ],
  markRead: [http('mark read', counts('PUT', at('/read'), {}), noneButMembers)],
  markUnread: [http('mark unread', counts('POST', at('/unread'), { fromSeq: 1 }), noneButMembers)],
  markDelivered: [http('mark delivered', counts('PUT', at('/delivered'), { seq: 1 }), noneButMembers)],
  readAll: [http('mark everything read', counts('POST', '/v1/read-all'), always(anyone))],
  listReaders: [http('list who has read', counts('GET', atMessage('/readers')), noneButMembers)],
  reconcile: [
    http('reconcile', counts('POST', '/v1/admin/reconcile', { repair: false }), always(administrators)),
  ],
  getLiveness: [everywhere('/health/live')],
  getReadiness: [everywhere('/health/ready')],
  getMetrics: [everywhere('/metrics')],
};

/** And for every event that a client may say. */
export const eventRows: Record<ClientEvent, Row[]> = {
  read: [
    {
      what: 'report a read',
      ask: async (me, scene) => shownIn(await me.say('read', reports(scene)), scene),
      rights: always(own),
    },
  ],
  delivered: [
    {
      what: 'report what arrived',
      ask: async (me, scene) => shownIn(await me.say('delivered', reports(scene)), scene),
      rights: always(own),
    },
  ],
  typing: [said('say that they type', 'typing', inChannel, noneButMembers)],
  open: [said('open the channel', 'open', inChannel, noneButMembers, { passive: true })],
  close: [said('close the channel', 'close', inChannel, noneButMembers, { passive: true })],
  'catch-up': [
    {
      what: 'catch up',
      ask: async (me, scene) => {
        await me.say('catch-up', missed(me, scene));
        return heardOf(me, scene);
      },
      rights: always(own),
    },
    {
      what: 'resume',
      ask: async (me, scene) => {
        await me.connect({ resume: missed(me, scene) });
        return heardOf(me, scene);
      },
      rights: always(own),
    },
  ],
  'users.query': [
    said('ask who a user is', 'users.query', ({ author }) => ({ ids: [author.id] }), always(anyone)),
  ],
  token: [
    said('renew their token', 'token', (_, { token }) => ({ token }), always(anyone)),
    {
      what: 'go on as another',
      ask: async (me, { author: { token } }) => acknowledged(await me.say('token', { token })),
      rights: always({
        ...{ owner: 'unauthenticated', member: 'unauthenticated' },
        ...{ former: 'unauthenticated', stranger: 'unauthenticated' },
      }),
    },
  ],
};
