import type { AddedMembers, Channel, CreatedUsers } from '@tidemark/contracts';
import { Behaviour, type Temperament } from './behaviour.js';
import { Device } from './device.js';
import type { Script } from './logs/script.js';
import { Person } from './people.js';
import type { Random } from './random.js';
import type { RunState } from './run-state.js';
import { type ReplayedSystem, urlsOf } from './system.js';

/** As many as fit into a body of 64 KiB. */
const USERS_A_REQUEST = 300;
const MEMBERS_A_REQUEST = 1_000;
/** Of the clients: authors of the logs, and second devices of who has one already. The others only listen. */
const AUTHORS_SHARE = 0.5;
const SECOND_DEVICES_SHARE = 0.1;
/** Of the listeners: these are in from the start; the others come while it goes on. */
const EARLY_SHARE = 0.7;

const temperaments: readonly Temperament[] = ['prompt', 'prompt', 'late', 'late', 'unreader', 'roamer'];

export interface Crowd {
  /** In the order of the script's users; listeners follow. */
  people: Person[];
  channelIds: string[];
  devices: Device[];
  behaviours: Behaviour[];
  deviceOf: Map<Person, Device>;
}

/** Makes everybody and every channel over the public API, connects the clients, and lets them act. */
export async function gather({
  system,
  script,
  clients,
  random,
  state,
}: {
  system: ReplayedSystem;
  script: Script;
  clients: number;
  random: Random;
  state: RunState;
}): Promise<Crowd> {
  const sign = (externalId: string, name: string) => system.token(externalId, { name });
  const authors = Math.min(Math.round(clients * AUTHORS_SHARE), script.users.length);
  const seconds = Math.round(clients * SECOND_DEVICES_SHARE);
  const listeners = Math.max(0, clients - authors - seconds);
  const people = [
    ...script.users.map(({ externalId, name }) => new Person(externalId, name, sign)),
    ...Array.from(
      { length: listeners },
      (_, i) => new Person(`listener:${i + 1}`, `listener ${i + 1}`, sign),
    ),
  ];
  const owner = new Person('replay:owner', 'replay', sign);
  await register([...people, owner], system, state);

  const early = people.slice(script.users.length).filter(() => random.chance(EARLY_SHARE));
  const channelIds: string[] = [];
  for (const channel of script.channels) {
    const channelId = await open(channel.name, owner, early, state);
    channelIds.push(channelId);
    // The other listeners come while it goes on, each at some point of the script.
    for (let i = script.users.length; i < people.length; i++) {
      if (early.includes(people[i]!)) continue;
      const at = random.between(0, channel.steps.length);
      channel.steps.splice(at, 0, { do: 'join', user: i, implied: true });
    }
  }

  const busiest = script.users
    .map((_, i) => i)
    .sort((a, b) => script.users[b]!.messages - script.users[a]!.messages);
  const chosen = busiest.slice(0, 2 * authors).filter(() => random.chance(0.5));
  const connected = [...new Set([...chosen, ...busiest])].slice(0, authors).map((i) => people[i]!);
  const everyone = [...connected, ...people.slice(script.users.length)];
  const again = Array.from({ length: everyone.length > 0 ? seconds : 0 }, () => random.pick(everyone));

  const gatewayUrls = () => urlsOf(system, 'realtime-gateway');
  const devices = [...everyone, ...again].map(
    (person, i) => new Device(person, `client ${i + 1} (${person.name})`, gatewayUrls, random.fork(), state),
  );
  await Promise.all(devices.map((device) => device.connect()));
  const behaviours = devices.map(
    (device) => new Behaviour(device, random.pick(temperaments), random.fork(), state),
  );
  const deviceOf = new Map(devices.map((device) => [device.person, device]));
  return { people, channelIds, devices, behaviours, deviceOf };
}

async function register(people: readonly Person[], system: ReplayedSystem, { api }: RunState): Promise<void> {
  const token = system.token('replay:admin', { name: 'replay admin', role: 'admin' });
  for (let from = 0; from < people.length; from += USERS_A_REQUEST) {
    const some = people.slice(from, from + USERS_A_REQUEST);
    const users = some.map(({ externalId, name }) => ({ externalId, name }));
    const { body } = await api.ask<CreatedUsers>({
      ...{ service: 'message-api', method: 'POST', path: '/v1/users', token, body: { users } },
    });
    const idOf = new Map(body.items.map(({ externalId, id }) => [externalId, id]));
    for (const person of some) person.id = idOf.get(person.externalId)!;
  }
}

async function open(name: string, owner: Person, early: readonly Person[], state: RunState): Promise<string> {
  const { api, ledger } = state;
  const ask = { service: 'message-api', method: 'POST', token: owner.token() } as const;
  const channel = await api.askOnce<Channel>({
    ...ask,
    path: '/v1/channels',
    body: { name, visibility: 'public' },
  });
  // Who creates a channel enters it by its last event so far.
  ledger.joined({ userId: owner.id, channelId: channel.id }, channel.headSeq);
  for (let from = 0; from < early.length; from += MEMBERS_A_REQUEST) {
    const some = early.slice(from, from + MEMBERS_A_REQUEST);
    const { seq } = await api.askOnce<AddedMembers>({
      ...{ ...ask, path: `/v1/channels/${channel.id}/members`, body: { userIds: some.map(({ id }) => id) } },
    });
    for (const { id } of some) ledger.joined({ userId: id, channelId: channel.id }, seq);
  }
  return channel.id;
}
