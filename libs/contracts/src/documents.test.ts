import { z } from 'zod';

import {
  asyncApiDocument,
  handshake,
  openApiDocument,
  type Route,
  routes,
  type ServiceName,
  serviceNames,
  socketEvents,
} from './index.js';

/** The HTTP table of the contract, as far as it is built. */
const everywhere = ['GET /health/live', 'GET /health/ready', 'GET /metrics'];
const built: Record<ServiceName, string[]> = {
  'message-api': [
    'POST /dev/token',
    'GET /v1/me',
    'PATCH /v1/me',
    'GET /v1/users/{id}',
    'POST /v1/users',
    'POST /v1/users/{id}/revoke-tokens',
    'POST /v1/channels',
    'GET /v1/channels',
    'GET /v1/channels/{id}',
    'PATCH /v1/channels/{id}',
    'GET /v1/channels/{id}/members',
    'POST /v1/channels/{id}/members',
    'DELETE /v1/channels/{id}/members/{userId}',
    'PATCH /v1/channels/{id}/members/me',
    'POST /v1/channels/{id}/messages',
    'GET /v1/channels/{id}/messages',
    'GET /v1/channels/{id}/messages/{seq}',
    'PATCH /v1/channels/{id}/messages/{seq}',
    'DELETE /v1/channels/{id}/messages/{seq}',
    'GET /v1/channels/{id}/events',
    'POST /v1/webhooks',
    'GET /v1/webhooks',
    'DELETE /v1/webhooks/{id}',
    'POST /v1/webhooks/{id}/enable',
    ...everywhere,
  ],
  'read-status-service': [
    'GET /v1/unread',
    'POST /v1/unread/query',
    'PUT /v1/channels/{id}/read',
    'POST /v1/channels/{id}/unread',
    'PUT /v1/channels/{id}/delivered',
    'POST /v1/read-all',
    'GET /v1/channels/{id}/messages/{seq}/readers',
    'POST /v1/admin/reconcile',
    ...everywhere,
  ],
  'realtime-gateway': everywhere,
  'sync-worker': everywhere,
};
const agreed: string[] = [];

describe.each(serviceNames)('the OpenAPI document of %s', (service) => {
  const document = openApiDocument(service);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ path, method: method.toUpperCase(), operation })),
  );

  it('has every route that is built, and no other', () => {
    expect(operations.map(({ method, path }) => `${method} ${path}`).sort()).toEqual(built[service].sort());
  });

  it('is plain JSON, the same each time', () => {
    expect(JSON.parse(JSON.stringify(document))).toEqual(openApiDocument(service));
  });

  it('has a target for each reference', () => {
    expect(brokenReferences(document)).toEqual([]);
  });

  it('declares each parameter of a path', () => {
    for (const { path, operation } of operations) {
      const parameters = (operation.parameters ?? []) as { name: string; in: string; required: boolean }[];
      const declared = parameters.filter((parameter) => parameter.in === 'path' && parameter.required);
      expect(declared.map(({ name }) => name)).toEqual(
        [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name),
      );
    }
  });

  it('gives each operation a name of its own and a description of each answer', () => {
    const names = operations.map(({ operation }) => operation.operationId);
    expect(new Set(names).size).toBe(names.length);
    for (const { operation } of operations) {
      for (const answer of Object.values(operation.responses as Record<string, { description: string }>)) {
        expect(answer.description).toBeTruthy();
      }
    }
  });
});

it('what is agreed and not built is in the table and in no document', () => {
  const notBuilt = Object.values<Route>(routes).filter(({ exists }) => !exists);
  expect(notBuilt.map(({ method, path }) => `${method} ${path}`)).toEqual(agreed);
});

it('a limit is documented as a number, and as optional', () => {
  const parameters = openApiDocument('message-api').paths['/v1/channels']?.get?.parameters;
  expect(parameters).toContainEqual({
    name: 'limit',
    in: 'query',
    required: false,
    schema: { type: 'integer', minimum: 1, maximum: 100, default: 50 },
  });
});

describe('the AsyncAPI document', () => {
  const document = asyncApiDocument();

  it('has every server event and every client event that is built', () => {
    const client = Object.entries(socketEvents.client).filter(([, { exists }]) => exists);
    expect(Object.keys(document.operations)).toEqual([
      ...Object.keys(socketEvents.server),
      ...client.map(([event]) => event),
    ]);
  });

  it('sends what the server says, and receives and acknowledges what a client says', () => {
    expect(document.operations.events).toMatchObject({ action: 'send' });
    expect(document.operations.events).not.toHaveProperty('reply');
    expect(document.operations.read).toMatchObject({
      action: 'receive',
      reply: { messages: [{ $ref: '#/channels/root/messages/read.acknowledgement' }] },
    });
  });

  it('is plain JSON with a target for each reference', () => {
    expect(JSON.parse(JSON.stringify(document))).toEqual(document);
    expect(brokenReferences(document)).toEqual([]);
  });
});

describe('everything that is asked is strict', () => {
  const asked: [string, z.ZodType][] = [
    ['handshake', handshake],
    ...Object.entries(socketEvents.client).map(([event, { payload }]): [string, z.ZodType] => [
      event,
      payload,
    ]),
    ...Object.entries<Route>(routes).flatMap(([name, { params, query, body }]) =>
      Object.entries({ params, query, body }).flatMap(([place, schema]): [string, z.ZodType][] =>
        schema ? [[`${name} ${place}`, schema]] : [],
      ),
    ),
  ];

  it.each(asked)('%s', (_, schema) => {
    const objects = objectsIn(z.toJSONSchema(schema, { io: 'input' }));
    // A map of ids to seqs names its keys by pattern instead of one by one.
    for (const object of objects.filter(({ propertyNames }) => !propertyNames)) {
      expect(object.additionalProperties).toBe(false);
    }
  });
});

it('nothing that is answered forbids fields which a client does not know', () => {
  const { schemas } = openApiDocument('message-api').components;
  expect(objectsIn(schemas).filter(({ additionalProperties }) => additionalProperties === false)).toEqual([]);
});

type Json = Record<string, unknown>;

function every(value: unknown): Json[] {
  if (typeof value !== 'object' || value === null) return [];
  return [...(Array.isArray(value) ? [] : [value as Json]), ...Object.values(value).flatMap(every)];
}

const objectsIn = (schema: unknown) => every(schema).filter(({ type }) => type === 'object');

function brokenReferences(document: object): unknown[] {
  return every(document)
    .map(({ $ref }) => $ref)
    .filter((ref) => typeof ref === 'string')
    .filter((ref) => {
      const keys = ref.replace(/^#\//, '').split('/');
      return keys.reduce<unknown>((inner, key) => (inner as Json | undefined)?.[key], document) === undefined;
    });
}
