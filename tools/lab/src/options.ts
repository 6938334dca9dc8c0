import { parseArgs, type ParseArgsConfig } from 'node:util';
import { ArgumentsError } from './command.js';

/**
 * The options that were typed, each a text.
 *
 * @throws ArgumentsError of one line.
 */
export function optionsIn<Name extends string>(
  typed: string[],
  names: readonly Name[],
): Partial<Record<Name, string>> {
  const options: ParseArgsConfig['options'] = Object.fromEntries(
    names.map((name) => [name, { type: 'string' }]),
  );
  try {
    return parseArgs({ args: typed, options }).values as Partial<Record<Name, string>>;
  } catch (error) {
    // Node adds advice on how to pass positional arguments, of which there are none.
    throw new ArgumentsError((error as Error).message.split('. ')[0]);
  }
}

/** @throws ArgumentsError */
export function wholeIn(option: string, text: string, min: number, max: number): number {
  const value = /^\d{1,9}$/.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max))
    throw new ArgumentsError(`${option}: "${text}" is not a whole number from ${min} to ${max}`);
  return value;
}

/** Several, parted by commas, each once. @throws ArgumentsError */
export function listIn<Value>(option: string, text: string, each: (part: string) => Value): Value[] {
  const values = text.split(',').map((part) => each(part.trim()));
  if (new Set(values).size < values.length) throw new ArgumentsError(`${option}: "${text}" names one twice`);
  return values;
}

/** @throws ArgumentsError */
export function oneOf<Value extends string>(option: string, text: string, values: readonly Value[]): Value {
  const value = values.find((known) => known === text);
  if (value === undefined) throw new ArgumentsError(`${option}: "${text}" is none of ${values.join(', ')}`);
  return value;
}
