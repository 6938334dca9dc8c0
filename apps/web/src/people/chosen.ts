import type { Person } from '../stack.js';

/** Side by side at the most. */
export const chosenMax = 4;

/** Who is in the address, `?as=ada,bob`, in that order and once each; those whom nobody knows apart. */
export function chosenIn(search: string, people: readonly Person[]): { chosen: Person[]; unknown: string[] } {
  const named = new URLSearchParams(search).get('as')?.split(',') ?? [];
  const wanted = [...new Set(named.map((name) => name.trim()).filter((name) => name !== ''))];
  const chosen: Person[] = [];
  const unknown: string[] = [];
  for (const user of wanted) {
    const person = people.find((one) => one.user.toLowerCase() === user.toLowerCase());
    if (!person) unknown.push(user);
    else if (chosen.length < chosenMax) chosen.push(person);
  }
  return { chosen, unknown };
}

export function searchFor(chosen: readonly Person[]): string {
  return chosen.length === 0 ? '?' : `?as=${chosen.map(({ user }) => encodeURIComponent(user)).join(',')}`;
}
