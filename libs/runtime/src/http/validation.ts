import { Body, Param, Query, type PipeTransform } from '@nestjs/common';
import type { z } from 'zod';
import { invalidRequest } from '../problems.js';

/** Gives what the schema makes of it, or refuses with `invalid-request` and what is wrong where. */
class ZodPipe<Schema extends z.ZodType> implements PipeTransform<unknown, z.output<Schema>> {
  constructor(private readonly schema: Schema) {}

  transform(value: unknown): z.output<Schema> {
    // A request without a body, where every field is optional, means an empty one.
    const parsed = this.schema.safeParse(value === undefined ? {} : value);
    if (!parsed.success) throw invalidRequest(parsed.error);
    return parsed.data;
  }
}

export const ZBody = (schema: z.ZodType) => Body(new ZodPipe(schema));
export const ZQuery = (schema: z.ZodType) => Query(new ZodPipe(schema));
export const ZParams = (schema: z.ZodType) => Param(new ZodPipe(schema));
