import { nestingDepthMax } from '@tidemark/contracts';
import type { FastifyInstance } from 'fastify';
import { ProblemError } from '../problems.js';

/** The one kind of body there is. Others are refused before a byte of them is looked at. */
export function acceptOnlyJson(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, body, done) => {
    try {
      done(null, parseJson(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

/**
 * JSON as a request may send it: valid UTF-8, nested at most `nestingDepthMax`, without the keys that
 * pollute prototypes. An empty body is no body (undefined). Errors: `malformed-json`, `invalid-request`.
 */
export function parseJson(body: Buffer): unknown {
  if (body.length === 0) return undefined;
  let value: unknown;
  try {
    // Not `body.toString()`: it would turn invalid bytes into U+FFFD and store what nobody wrote.
    value = JSON.parse(utf8.decode(body));
  } catch (cause) {
    throw new ProblemError('malformed-json', 'The body is not valid JSON.', { cause });
  }
  refuseUnsafe(value);
  return value;
}

/** Before any schema sees it, and without recursion: the depth of what arrives is the sender's choice. */
export function refuseUnsafe(root: unknown): void {
  let level = [root].filter(isContainer);
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > nestingDepthMax) {
      throw new ProblemError('invalid-request', `The body is nested deeper than ${nestingDepthMax}.`);
    }
    const below: object[] = [];
    for (const container of level) {
      if (!Array.isArray(container)) refusePrototypeKeys(container);
      for (const value of Object.values(container)) if (isContainer(value)) below.push(value);
    }
    level = below;
  }
}

function refusePrototypeKeys(object: object): void {
  const constructor: unknown = Object.hasOwn(object, 'constructor') ? object.constructor : null;
  if (
    Object.hasOwn(object, '__proto__') ||
    (isContainer(constructor) && Object.hasOwn(constructor, 'prototype'))
  ) {
    throw new ProblemError('invalid-request', 'The body has a key that is never accepted.');
  }
}

const isContainer = (value: unknown): value is object => typeof value === 'object' && value !== null;
