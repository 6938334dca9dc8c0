import {
  addMembers,
  createChannel,
  createUsers,
  pageQuery,
  updateChannel,
  updateMembership,
} from './index.js';

const ids = (amount: number) => Array.from({ length: amount }, (_, index) => String(index + 1));

describe('a new channel', () => {
  it('has a name and a visibility', () => {
    expect(createChannel.safeParse({ name: 'tides', visibility: 'public' }).success).toBe(true);
  });

  it.each([
    { name: 'tides' },
    { name: '', visibility: 'public' },
    { name: 'x'.repeat(81), visibility: 'public' },
    { name: 'tides', visibility: 'secret' },
    { name: 'tides', visibility: 'public', id: '1' },
  ])('is not %j', (body) => {
    expect(createChannel.safeParse(body).success).toBe(false);
  });
});

describe('a change', () => {
  it('of a channel says what changes', () => {
    expect(updateChannel.safeParse({ archived: true }).success).toBe(true);
    expect(updateChannel.safeParse({}).success).toBe(false);
  });

  it('of a membership says what changes', () => {
    expect(updateMembership.safeParse({ muted: false }).success).toBe(true);
    expect(updateMembership.safeParse({}).success).toBe(false);
    expect(updateMembership.safeParse({ role: 'owner' }).success).toBe(false);
  });
});

describe('added members', () => {
  it('are 1 to 1,000', () => {
    expect(addMembers.safeParse({ userIds: [] }).success).toBe(false);
    expect(addMembers.safeParse({ userIds: ids(1_000) }).success).toBe(true);
    expect(addMembers.safeParse({ userIds: ids(1_001) }).success).toBe(false);
  });
});

describe('created users', () => {
  it('are persons unless said otherwise', () => {
    expect(createUsers.parse({ users: [{ externalId: 'ada', name: 'Ada' }] }).users[0]?.kind).toBe('person');
  });

  it('are refused with an unknown field or a __proto__ in any of them', () => {
    const ada = '{"externalId":"ada","name":"Ada"}';
    const refused = (user: string) =>
      !createUsers.safeParse(JSON.parse(`{"users":[${ada},${user}]}`)).success;
    expect(refused('{"externalId":"bob","name":"Bob","admin":true}')).toBe(true);
    expect(refused('{"externalId":"bob","name":"Bob","__proto__":{}}')).toBe(true);
  });

  it.each([
    'javascript:alert(1)',
    'data:text/html,x',
    'picture.png',
    'https://example.org/\0',
    'https://example.org/\ud800',
    `https://example.org/${'x'.repeat(2_048)}`,
  ])('cannot have %j as their picture', (picture) => {
    expect(createUsers.safeParse({ users: [{ externalId: 'ada', name: 'Ada', picture }] }).success).toBe(
      false,
    );
  });
});

describe('the query of a list', () => {
  it('has a limit of 50 unless said otherwise, and a cursor from the page before', () => {
    expect(pageQuery.parse({})).toEqual({ limit: 50 });
    expect(pageQuery.parse({ cursor: 'MTI_-w', limit: '1' })).toEqual({ cursor: 'MTI_-w', limit: 1 });
  });

  it('refuses a cursor that no page gave', () => {
    expect(pageQuery.safeParse({ cursor: '' }).success).toBe(false);
    expect(pageQuery.safeParse({ cursor: "1' or 1=1" }).success).toBe(false);
  });
});
