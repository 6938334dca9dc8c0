import { problemErrorsMax } from '@tidemark/contracts';
import { ProblemError } from '@tidemark/runtime';

/** What a message names must exist. `places` are those in its `mentions` that do not. */
export function unknownMentions(places: readonly number[]): ProblemError {
  return badReference(
    places.map((place) => ({ pointer: `/mentions/${place}`, detail: 'must be the id of a user' })),
  );
}

export function badReference(errors: { pointer: string; detail: string }[]): ProblemError {
  return new ProblemError('invalid-request', 'The message refers to something that is not there.', {
    errors: errors.slice(0, problemErrorsMax),
  });
}
