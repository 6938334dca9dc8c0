import type { z } from 'zod';

import { type Json, SchemaWriter } from './json-schema.js';
import {
  acknowledgementOf,
  type ClientEvent,
  handshake,
  socketEvents,
  socketPath,
  socketRefusal,
} from './socket.js';

export type AsyncApiDocument = {
  asyncapi: '3.0.0';
  info: { title: string; version: string; description: string };
  servers: Record<string, Json>;
  channels: { root: { address: string; messages: Record<string, Json>; [field: string]: unknown } };
  operations: Record<string, Json>;
  components: { schemas: Record<string, Json> };
};

/**
 * AsyncAPI 3.0 of the socket, from the gateway's side: it sends server events and receives client events, whose
 * reply is Socket.IO's acknowledgement. AsyncAPI has no binding for Socket.IO: the handshake is an extension.
 */
export function asyncApiDocument(): AsyncApiDocument {
  // AsyncAPI's own schema dialect is a superset of JSON Schema draft-07.
  const schemas = new SchemaWriter('draft-07');
  const messages: Record<string, Json> = {};
  const operations: Record<string, Json> = {};

  const say = (key: string, name: string, summary: string, payload: z.ZodType | null) => {
    messages[key] = {
      name,
      summary,
      contentType: 'application/json',
      payload: payload ? schemas.write(payload) : { type: 'null' },
    };
    return { $ref: `#/channels/root/messages/${key}` };
  };

  for (const [event, { summary, payload }] of Object.entries(socketEvents.server)) {
    const message = say(event, event, summary, payload);
    operations[event] = {
      action: 'send',
      channel: { $ref: '#/channels/root' },
      summary,
      messages: [message],
    };
  }
  for (const [event, { summary, payload, exists }] of Object.entries(socketEvents.client)) {
    if (!exists) continue;
    const message = say(event, event, summary, payload);
    const acknowledgement = say(
      `${event}.acknowledgement`,
      `${event} acknowledgement`,
      `The answer to ${event}.`,
      acknowledgementOf(event as ClientEvent),
    );
    operations[event] = {
      action: 'receive',
      channel: { $ref: '#/channels/root' },
      summary,
      messages: [message],
      reply: { channel: { $ref: '#/channels/root' }, messages: [acknowledgement] },
    };
  }

  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Tidemark: realtime-gateway',
      version: '1',
      description:
        'Socket.IO 4, namespace `/`. Each message is one event with its payload as the only argument; a client event is acknowledged. Unknown fields in what a client says are refused; ignore those in what the server says.',
    },
    servers: { local: { host: 'localhost:3002', pathname: socketPath, protocol: 'ws' } },
    channels: {
      root: {
        address: '/',
        title: 'The namespace',
        messages,
        'x-socketio-handshake-auth': schemas.write(handshake),
        'x-socketio-connect-error-data': schemas.write(socketRefusal),
      },
    },
    operations,
    components: { schemas: schemas.components },
  };
}
