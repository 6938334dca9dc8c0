import { z } from 'zod';

export type Json = { [key: string]: unknown };

/** Collects the named schemas that a document refers to, so that each is written once, under `components`. */
export class SchemaWriter {
  readonly components: Record<string, Json> = {};

  constructor(private readonly target: 'draft-2020-12' | 'draft-07') {}

  /** The schema as a document holds it: a `$ref` where it has a name. */
  write(schema: z.ZodType): Json {
    // Wrapped, because zod writes a named schema in full where it is the root. As input, because that is what
    // goes over the wire (defaults may be missing, and query strings are strings), and because as output zod
    // would forbid the unknown fields of answers, which clients are to ignore.
    const { properties, $defs, definitions } = z.toJSONSchema(z.object({ it: schema }), {
      target: this.target,
      io: 'input',
      override: ({ jsonSchema }) => {
        // A number in a query is digits on the wire, and an integer to whoever reads the document.
        if (isJson(jsonSchema.parameter)) {
          const { parameter, description } = jsonSchema;
          for (const key of Object.keys(jsonSchema)) delete jsonSchema[key];
          Object.assign(jsonSchema, parameter, description ? { description } : {});
        }
        // The name is already the key under `components`.
        delete jsonSchema.id;
        // 300 characters that say what the format says.
        if (jsonSchema.format === 'date-time') delete jsonSchema.pattern;
      },
    }) as unknown as {
      properties: { it: Json };
      $defs?: Record<string, Json>;
      definitions?: Record<string, Json>;
    };
    for (const [name, definition] of Object.entries($defs ?? definitions ?? {})) {
      this.components[name] = pointToComponents(definition) as Json;
    }
    return pointToComponents(properties.it) as Json;
  }
}

function pointToComponents(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(pointToComponents);
  if (!isJson(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key,
      key === '$ref' && typeof inner === 'string'
        ? inner.replace(/^#\/(?:\$defs|definitions)\//, '#/components/schemas/')
        : pointToComponents(inner),
    ]),
  );
}

function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
