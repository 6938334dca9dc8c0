import type { Person } from '../stack.js';
import { chosenMax } from './chosen.js';

/** Who is in the page. */
export function Picker({
  people,
  chosen,
  unknown,
  onChoose,
}: {
  people: readonly Person[];
  chosen: readonly Person[];
  unknown: readonly string[];
  onChoose: (people: readonly Person[]) => void;
}) {
  const isChosen = (person: Person) => chosen.some(({ user }) => user === person.user);
  const turn = (person: Person) =>
    onChoose(isChosen(person) ? chosen.filter(({ user }) => user !== person.user) : [...chosen, person]);
  return (
    <header className="picker">
      <h1>
        <img src="/tide.svg" alt="" width="28" height="28" /> Tidemark
      </h1>
      <div role="group" aria-label="Be somebody" className="chips">
        {people.map((person) => (
          <button
            key={person.user}
            type="button"
            className="chip"
            aria-pressed={isChosen(person)}
            disabled={!isChosen(person) && chosen.length >= chosenMax}
            onClick={() => turn(person)}
          >
            {person.name}
          </button>
        ))}
      </div>
      {unknown.length > 0 && (
        <p role="alert" className="hint">
          Nobody here is called {unknown.join(' or ')}.
        </p>
      )}
    </header>
  );
}
