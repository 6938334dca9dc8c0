import { z } from 'zod';

import {
  addedMembers,
  addMembers,
  channel,
  channelPage,
  createChannel,
  memberPage,
  membership,
  updateChannel,
  updateMembership,
} from './channel.js';
import { count } from './count.js';
import { eventPage, eventsQuery } from './envelope.js';
import { health } from './health.js';
import { editMessage, message, messagePage, messagesQuery, sendMessage } from './message.js';
import { pageQuery, eventSeqDigits } from './page.js';
import type { ProblemCode } from './problem.js';
import { id } from './scalars.js';
import { createDevToken, devToken } from './token.js';
import {
  markAllRead,
  markDelivered,
  markRead,
  markUnread,
  queryUnread,
  readAll,
  readers,
  reconcile,
  reconciled,
  unread,
  unreadQuery,
} from './unread.js';
import { createdUsers, createUsers, me, revokedTokens, updateMe, user } from './user.js';
import { createdWebhook, createWebhook, webhook, webhooks } from './webhook.js';

export const serviceNames = [
  'message-api',
  'realtime-gateway',
  'read-status-service',
  'sync-worker',
] as const;
export type ServiceName = (typeof serviceNames)[number];

/** One route of the public API. */
export type Route = {
  services: readonly ServiceName[];
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** As OpenAPI writes it: `/v1/channels/{id}`. */
  path: string;
  summary: string;
  /** Who may ask at all; what they may do with this channel is a right, and `forbidden` or `not-found`. */
  asks: 'anyone' | 'user' | 'admin';
  params?: z.ZodObject;
  query?: z.ZodType;
  body?: z.ZodType;
  /** Status -> body. Null has no body; 'text' is plain text. The first is the usual one. */
  answers: Record<number, z.ZodType | null | 'text'>;
  /** Beside those that `problemsOf` adds. */
  problems?: readonly ProblemCode[];
  /** Built by now. False: agreed in the contract, and not in the OpenAPI document yet. */
  exists: boolean;
  /** Answers 404 in production. */
  developmentOnly?: boolean;
};

const byId = z.strictObject({ id });
const byMember = z.strictObject({ id, userId: id });
const bySeq = z.strictObject({ id, seq: eventSeqDigits });

const messageApi = { services: ['message-api'], asks: 'user', exists: true } as const;
const readStatus = { services: ['read-status-service'], asks: 'user', exists: true } as const;
const everywhere = { services: serviceNames, asks: 'anyone', exists: true } as const;

/** Every route of the public API, by operation: the one source of OpenAPI, of the services' validation and of the SDK. */
export const routes = {
  createDevToken: {
    ...messageApi,
    asks: 'anyone',
    method: 'POST',
    path: '/dev/token',
    summary: 'Get a token for whoever you want to be; in development only',
    body: createDevToken,
    answers: { 200: devToken },
    developmentOnly: true,
  },
  getMe: {
    ...messageApi,
    method: 'GET',
    path: '/v1/me',
    summary: 'Get myself',
    answers: { 200: me },
  },
  updateMe: {
    ...messageApi,
    method: 'PATCH',
    path: '/v1/me',
    summary: 'Turn my read receipts off or on, in all channels',
    body: updateMe,
    answers: { 200: me },
  },
  getUser: {
    ...messageApi,
    method: 'GET',
    path: '/v1/users/{id}',
    summary: 'Get a user',
    params: byId,
    answers: { 200: user },
    problems: ['not-found'],
  },
  createUsers: {
    ...messageApi,
    asks: 'admin',
    method: 'POST',
    path: '/v1/users',
    summary: 'Create users, or bring them up to date, before their first token',
    body: createUsers,
    answers: { 200: createdUsers },
  },
  revokeTokens: {
    ...messageApi,
    asks: 'admin',
    method: 'POST',
    path: '/v1/users/{id}/revoke-tokens',
    summary: 'Refuse every token issued to a user so far, and close their sockets',
    params: byId,
    answers: { 200: revokedTokens },
    problems: ['not-found'],
  },
  createChannel: {
    ...messageApi,
    method: 'POST',
    path: '/v1/channels',
    summary: 'Create a channel and own it',
    body: createChannel,
    answers: { 201: channel },
  },
  listChannels: {
    ...messageApi,
    method: 'GET',
    path: '/v1/channels',
    summary: 'List the channels I am in',
    query: pageQuery,
    answers: { 200: channelPage },
  },
  getChannel: {
    ...messageApi,
    method: 'GET',
    path: '/v1/channels/{id}',
    summary: 'Get a channel: mine, or a public one',
    params: byId,
    answers: { 200: channel },
    problems: ['not-found'],
  },
  updateChannel: {
    ...messageApi,
    method: 'PATCH',
    path: '/v1/channels/{id}',
    summary: 'Rename, archive or unarchive a channel',
    params: byId,
    body: updateChannel,
    answers: { 200: channel },
    problems: ['forbidden', 'not-found', 'channel-archived'],
  },
  listMembers: {
    ...messageApi,
    method: 'GET',
    path: '/v1/channels/{id}/members',
    summary: 'List the members of a channel',
    params: byId,
    query: pageQuery,
    answers: { 200: memberPage },
    problems: ['forbidden', 'not-found'],
  },
  addMembers: {
    ...messageApi,
    method: 'POST',
    path: '/v1/channels/{id}/members',
    summary: 'Add members; adding oneself to a public channel joins it',
    params: byId,
    body: addMembers,
    answers: { 200: addedMembers },
    problems: ['forbidden', 'not-found', 'channel-archived'],
  },
  removeMember: {
    ...messageApi,
    method: 'DELETE',
    path: '/v1/channels/{id}/members/{userId}',
    summary: 'Remove a member, or leave',
    params: byMember,
    answers: { 204: null },
    problems: ['forbidden', 'not-found'],
  },
  updateMembership: {
    ...messageApi,
    method: 'PATCH',
    path: '/v1/channels/{id}/members/me',
    summary: 'Mute a channel, or turn my read receipts off in it',
    params: byId,
    body: updateMembership,
    answers: { 200: membership },
    problems: ['forbidden', 'not-found'],
  },
  sendMessage: {
    ...messageApi,
    method: 'POST',
    path: '/v1/channels/{id}/messages',
    summary: 'Send a message; a repeat with the same clientId answers 200 with the message as it now stands',
    params: byId,
    body: sendMessage,
    answers: { 201: message, 200: message },
    problems: ['forbidden', 'not-found', 'idempotency-conflict', 'channel-archived'],
  },
  listMessages: {
    ...messageApi,
    method: 'GET',
    path: '/v1/channels/{id}/messages',
    summary: 'Read a page of history, of the channel or of one thread',
    params: byId,
    query: messagesQuery,
    answers: { 200: messagePage },
    problems: ['forbidden', 'not-found'],
  },
  getMessage: {
    ...messageApi,
    method: 'GET',
    path: '/v1/channels/{id}/messages/{seq}',
    summary: 'Get a message; a deleted one has no text',
    params: bySeq,
    answers: { 200: message },
    problems: ['forbidden', 'not-found'],
  },
  editMessage: {
    ...messageApi,
    method: 'PATCH',
    path: '/v1/channels/{id}/messages/{seq}',
    summary: 'Edit a message of mine',
    params: bySeq,
    body: editMessage,
    answers: { 200: message },
    problems: ['forbidden', 'not-found', 'channel-archived'],
  },
  deleteMessage: {
    ...messageApi,
    method: 'DELETE',
    path: '/v1/channels/{id}/messages/{seq}',
    summary: 'Delete a message',
    params: bySeq,
    answers: { 204: null },
    problems: ['forbidden', 'not-found', 'channel-archived'],
  },
  listEvents: {
    ...messageApi,
    method: 'GET',
    path: '/v1/channels/{id}/events',
    summary: 'Read the log of a channel after a seq',
    params: byId,
    query: eventsQuery,
    answers: { 200: eventPage },
    problems: ['forbidden', 'not-found', 'log-pruned'],
  },
  createWebhook: {
    ...messageApi,
    asks: 'admin',
    method: 'POST',
    path: '/v1/webhooks',
    summary: 'Send what happens from now on to a URL, signed; the secret is said this once',
    body: createWebhook,
    answers: { 201: createdWebhook },
  },
  listWebhooks: {
    ...messageApi,
    asks: 'admin',
    method: 'GET',
    path: '/v1/webhooks',
    summary: 'List all webhooks, and how they fare',
    answers: { 200: webhooks },
  },
  deleteWebhook: {
    ...messageApi,
    asks: 'admin',
    method: 'DELETE',
    path: '/v1/webhooks/{id}',
    summary: 'Send nothing to a webhook any more',
    params: byId,
    answers: { 204: null },
    problems: ['not-found'],
  },
  enableWebhook: {
    ...messageApi,
    asks: 'admin',
    method: 'POST',
    path: '/v1/webhooks/{id}/enable',
    summary: 'Go on where a disabled webhook was left',
    params: byId,
    answers: { 200: webhook },
    problems: ['not-found'],
  },
  getUnread: {
    ...readStatus,
    method: 'GET',
    path: '/v1/unread',
    summary: 'Count what is unread in all my channels and followed threads',
    query: unreadQuery,
    answers: { 200: unread },
    problems: ['rebuilding'],
  },
  queryUnread: {
    ...readStatus,
    method: 'POST',
    path: '/v1/unread/query',
    summary: 'Count what is unread in these channels and their followed threads',
    body: queryUnread,
    answers: { 200: unread },
    problems: ['rebuilding'],
  },
  markRead: {
    ...readStatus,
    method: 'PUT',
    path: '/v1/channels/{id}/read',
    summary: 'Mark as read up to a seq, or up to the head',
    params: byId,
    body: markRead,
    answers: { 200: count },
    problems: ['forbidden', 'not-found', 'rebuilding'],
  },
  markUnread: {
    ...readStatus,
    method: 'POST',
    path: '/v1/channels/{id}/unread',
    summary: 'Mark as unread from a message on',
    params: byId,
    body: markUnread,
    answers: { 200: count },
    problems: ['forbidden', 'not-found', 'rebuilding'],
  },
  markDelivered: {
    ...readStatus,
    method: 'PUT',
    path: '/v1/channels/{id}/delivered',
    summary: 'Say that messages have reached my device',
    params: byId,
    body: markDelivered,
    answers: { 204: null },
    problems: ['forbidden', 'not-found', 'rebuilding'],
  },
  readAll: {
    ...readStatus,
    method: 'POST',
    path: '/v1/read-all',
    summary: 'Mark everything as read',
    body: markAllRead,
    answers: { 200: readAll },
    problems: ['rebuilding'],
  },
  listReaders: {
    ...readStatus,
    method: 'GET',
    path: '/v1/channels/{id}/messages/{seq}/readers',
    summary: 'List who has read a message',
    params: bySeq,
    query: pageQuery,
    answers: { 200: readers },
    problems: ['forbidden', 'not-found', 'rebuilding'],
  },
  reconcile: {
    ...readStatus,
    asks: 'admin',
    method: 'POST',
    path: '/v1/admin/reconcile',
    summary: 'Recompute counts from the messages, and repair what differs if asked to',
    body: reconcile,
    answers: { 200: reconciled },
    problems: ['rebuilding'],
  },
  getLiveness: {
    ...everywhere,
    method: 'GET',
    path: '/health/live',
    summary: 'Is the process alive',
    answers: { 200: health },
  },
  getReadiness: {
    ...everywhere,
    method: 'GET',
    path: '/health/ready',
    summary: 'Can it serve',
    answers: { 200: health, 503: health },
  },
  getMetrics: {
    ...everywhere,
    method: 'GET',
    path: '/metrics',
    summary: 'Read the metrics, for Prometheus',
    answers: { 200: 'text' },
  },
} as const satisfies Record<string, Route>;

export type RouteName = keyof typeof routes;

/** Every problem that a route may answer with, those included that come with a body, a token and the network. */
export function problemsOf(route: Route): ProblemCode[] {
  if (!route.path.startsWith('/v1/') && !route.body) return [];
  const codes = new Set<ProblemCode>();
  if (route.body) codes.add('malformed-json').add('too-large');
  if (route.body || route.params || route.query) codes.add('invalid-request');
  if (route.asks !== 'anyone') codes.add('unauthenticated').add('token-expired');
  if (route.asks === 'admin') codes.add('forbidden');
  if (route.developmentOnly) codes.add('not-found');
  for (const code of route.problems ?? []) codes.add(code);
  return [...codes, 'rate-limited', 'internal', 'unavailable'];
}
