import { chosenIn, searchFor } from './chosen.js';

const people = ['ada', 'grace', 'linus', 'ken', 'dennis'].map((user) => ({ user, name: user }));
const usersIn = (search: string) => chosenIn(search, people).chosen.map(({ user }) => user);

describe('who is in the address', () => {
  it('is taken in its order, once each', () => {
    expect(usersIn('?as=grace, Ada,grace')).toEqual(['grace', 'ada']);
    expect(usersIn('?as=')).toEqual([]);
    expect(usersIn('')).toEqual([]);
  });

  it('may be unknown, and is said to be', () => {
    expect(chosenIn('?as=bob,ada', people)).toEqual({ chosen: [people[0]], unknown: ['bob'] });
  });

  it('is no more than fit side by side', () => {
    expect(usersIn('?as=ada,grace,linus,ken,dennis')).toEqual(['ada', 'grace', 'linus', 'ken']);
  });

  it('is found again in the address that is made of it', () => {
    const odd = [{ user: 'a&b', name: 'A' }];
    expect(chosenIn(searchFor(odd), odd).chosen).toEqual(odd);
  });
});
