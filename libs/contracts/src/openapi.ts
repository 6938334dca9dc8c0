import type { z } from 'zod';

import { type Json, SchemaWriter } from './json-schema.js';
import { problem, problemCodes, problemContentType } from './problem.js';
import { problemsOf, type Route, routes, type ServiceName } from './routes.js';
import { consistencyToken, consistencyTokenHeader, servedBy, servedByHeader } from './token.js';

export type OpenApiDocument = {
  openapi: '3.1.0';
  info: { title: string; version: string; description: string };
  paths: Record<string, Record<string, Json>>;
  components: { schemas: Record<string, Json>; [kind: string]: Json };
};

/** OpenAPI 3.1 of what a service serves by now. Pure: the same document for the same contract. */
export function openApiDocument(service: ServiceName): OpenApiDocument {
  const schemas = new SchemaWriter('draft-2020-12');
  const headers = {
    [consistencyTokenHeader]: {
      description: 'Send it with a later request to be answered from a state that includes this one.',
      schema: schemas.write(consistencyToken),
    },
    [servedByHeader]: { description: 'From where a read was answered.', schema: schemas.write(servedBy) },
  };
  const tokenParameter = {
    name: consistencyTokenHeader,
    in: 'header',
    required: false,
    description: 'Answer from a state that includes what this token speaks of.',
    schema: schemas.write(consistencyToken),
  };

  const paths: OpenApiDocument['paths'] = {};
  for (const [operationId, route] of Object.entries<Route>(routes)) {
    if (!route.exists || !route.services.includes(service)) continue;
    const operations = (paths[route.path] ??= {});
    operations[route.method.toLowerCase()] = operation(operationId, route, schemas);
  }

  return {
    openapi: '3.1.0',
    info: {
      title: `Tidemark: ${service}`,
      version: '1',
      description:
        'Ids are decimal strings, times ISO 8601 UTC. Unknown fields in a request are refused; ignore those in an answer.',
    },
    paths,
    components: {
      schemas: schemas.components,
      parameters: { ConsistencyToken: tokenParameter },
      headers,
      securitySchemes: { bearer: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
  };
}

function operation(operationId: string, route: Route, schemas: SchemaWriter): Json {
  const consistent = route.path.startsWith('/v1/');
  const parameters = [
    ...parametersOf(route.params, 'path', schemas),
    ...parametersOf(route.query, 'query', schemas),
    ...(consistent ? [{ $ref: '#/components/parameters/ConsistencyToken' }] : []),
  ];
  return {
    operationId,
    summary: route.summary,
    ...(route.asks !== 'anyone' && { security: [{ bearer: [] }] }),
    ...(parameters.length > 0 && { parameters }),
    ...(route.body && {
      requestBody: { required: true, content: { 'application/json': { schema: schemas.write(route.body) } } },
    }),
    responses: { ...answersOf(route, consistent, schemas), ...refusalsOf(route, schemas) },
  };
}

function parametersOf(
  parameters: z.ZodType | undefined,
  place: 'path' | 'query',
  schemas: SchemaWriter,
): Json[] {
  if (!parameters) return [];
  const { properties = {}, required = [] } = schemas.write(parameters) as {
    properties?: Record<string, Json>;
    required?: string[];
  };
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: place,
    required: required.includes(name),
    schema,
  }));
}

const descriptions: Record<string, string> = {
  200: 'As asked',
  201: 'Created',
  204: 'Done',
  503: 'Not ready',
};

function answersOf(route: Route, consistent: boolean, schemas: SchemaWriter): Json {
  return Object.fromEntries(
    Object.entries(route.answers).map(([status, body]) => [
      status,
      {
        description: descriptions[status] ?? status,
        ...(consistent && {
          headers: Object.fromEntries(
            [consistencyTokenHeader, ...(route.method === 'GET' ? [servedByHeader] : [])].map((header) => [
              header,
              { $ref: `#/components/headers/${header}` },
            ]),
          ),
        }),
        ...(body && {
          content:
            body === 'text'
              ? { 'text/plain': { schema: { type: 'string' } } }
              : { 'application/json': { schema: schemas.write(body) } },
        }),
      },
    ]),
  );
}

function refusalsOf(route: Route, schemas: SchemaWriter): Json {
  const codesByStatus = new Map<number, string[]>();
  for (const code of problemsOf(route)) {
    const { status } = problemCodes[code];
    codesByStatus.set(status, [...(codesByStatus.get(status) ?? []), code]);
  }
  return Object.fromEntries(
    [...codesByStatus].map(([status, codes]) => [
      status,
      {
        description: codes.map((code) => `\`${code}\``).join(', '),
        ...((status === 429 || status === 503) && {
          headers: { 'Retry-After': { description: 'In seconds.', schema: { type: 'integer', minimum: 0 } } },
        }),
        content: { [problemContentType]: { schema: schemas.write(problem) } },
      },
    ]),
  );
}
