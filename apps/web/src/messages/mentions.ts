/** Somebody who can be named, by how they are. */
export interface Nameable {
  id: string;
  externalId: string;
  name: string;
}

const word = /@([\p{L}\p{N}_.-]*[\p{L}\p{N}_-])/gu;
const everyone = new Set(['channel', 'here']);

/** A name as it is written behind an @. */
const handlesOf = ({ externalId, name }: Nameable) =>
  [externalId, name].map((handle) => handle.toLowerCase().replaceAll(' ', ''));

/** Whom a text names: `@ada` by their name or their account, everybody with `@channel` or `@here`. */
export function mentionsIn(text: string, people: readonly Nameable[]) {
  const ids = new Set<string>();
  let mentionsAll = false;
  for (const [, handle = ''] of text.matchAll(word)) {
    const lower = handle.toLowerCase();
    if (everyone.has(lower)) mentionsAll = true;
    for (const person of people) if (handlesOf(person).includes(lower)) ids.add(person.id);
  }
  return { mentions: [...ids], mentionsAll };
}

/** A text in pieces, those apart that name somebody. */
export function piecesOf(text: string, people: readonly Nameable[]): { text: string; names: boolean }[] {
  const pieces: { text: string; names: boolean }[] = [];
  let from = 0;
  for (const match of text.matchAll(word)) {
    const handle = match[1]!.toLowerCase();
    if (!everyone.has(handle) && !people.some((person) => handlesOf(person).includes(handle))) continue;
    if (match.index > from) pieces.push({ text: text.slice(from, match.index), names: false });
    pieces.push({ text: match[0], names: true });
    from = match.index + match[0].length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from), names: false });
  return pieces;
}
