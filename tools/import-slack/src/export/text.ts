import { textCharsMax } from '@tidemark/contracts';

/** How ids in a text are named. */
export interface Names {
  /** `label` is what the text itself calls them. */
  user(id: string, label: string | undefined): string;
  channel(id: string): string;
}

export interface ReadText {
  text: string;
  /** Ids of the users whom it names, each once. */
  named: string[];
  everyone: boolean;
}

const everyone = new Set(['channel', 'here', 'everyone', 'group']);
const entities: Record<string, string> = { '&lt;': '<', '&gt;': '>', '&amp;': '&' };
const decode = (text: string): string => text.replace(/&(?:lt|gt|amp);/g, (entity) => entities[entity]!);

/** Slack's markup as plain text. Only what stands between < and > is markup: a typed one is an entity. */
export function readText(raw: string, names: Names): ReadText {
  const named = new Set<string>();
  let isToEveryone = false;

  const show = (tag: string): string => {
    const [target = '', label] = splitOnce(tag, '|');
    if (target.startsWith('@')) {
      named.add(target.slice(1));
      return `@${names.user(target.slice(1), label)}`;
    }
    if (target.startsWith('#')) return `#${label || names.channel(target.slice(1))}`;
    if (!target.startsWith('!')) return !label || isSame(target, label) ? target : `${label} (${target})`;
    const [command = ''] = target.slice(1).split('^');
    if (everyone.has(command)) {
      isToEveryone = true;
      return `@${command === 'group' ? 'channel' : command}`;
    }
    return label ?? target.slice(1);
  };

  const text = raw
    .split(/<([^<>]*)>/)
    .map((part, i) => decode(i % 2 === 1 ? show(part) : part))
    .join('');
  return { text: storable(text), named: [...named], everyone: isToEveryone };
}

/** What PostgreSQL can store and every client can show. */
export const storable = (text: string): string => text.replace(/[\0\p{Surrogate}]/gu, '\uFFFD');

/** A text in pieces that are no longer than a message may be, in characters as the contract counts them. */
export function inParts(text: string): string[] {
  if (text.length <= textCharsMax) return [text];
  const characters = [...text];
  return Array.from({ length: Math.ceil(characters.length / textCharsMax) }, (_, i) =>
    characters.slice(i * textCharsMax, (i + 1) * textCharsMax).join(''),
  );
}

function splitOnce(text: string, by: string): [string, string?] {
  const at = text.indexOf(by);
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

/** Slack labels what was typed as an address with the address. */
const isSame = (target: string, label: string): boolean =>
  target.replace(/^(https?:\/\/|mailto:|tel:)/, '') === label.replace(/^https?:\/\//, '');
