import { problem, problemCodes, problemErrorsOf, problemOf, sendMessage } from './index.js';

const errorsOf = (body: unknown) => {
  const { error } = sendMessage.safeParse(body);
  if (!error) throw new Error('was accepted');
  return problemErrorsOf(error);
};

describe('a problem', () => {
  it.each(Object.keys(problemCodes) as (keyof typeof problemCodes)[])('can be made of %s', (code) => {
    const made = problemOf(code, 'Why.');
    expect(problem.parse(made)).toEqual(made);
    expect(made).toMatchObject({
      type: `urn:tidemark:problem:${code}`,
      status: problemCodes[code].status,
      code,
    });
    expect(made).not.toHaveProperty('errors');
  });

  it('says where in the request each mistake is', () => {
    const errors = errorsOf({ clientId: 'c1', text: '', mentions: ['1', 'x'] });
    expect(errors.map(({ pointer }) => pointer)).toEqual(['/text', '/mentions/1']);
    expect(problemOf('invalid-request', 'Why.', errors).errors).toEqual(errors);
  });

  it('names an unknown field', () => {
    expect(errorsOf({ clientId: 'c1', text: 'x', colour: 'red' })).toEqual([
      { pointer: '', detail: expect.stringContaining('colour') },
    ]);
  });

  it('stays small, whatever was sent', () => {
    const many = errorsOf({ clientId: 'c1', text: 'x', mentions: Array.from({ length: 100 }, () => 'x') });
    expect(many).toHaveLength(20);
    const [long] = errorsOf({ clientId: 'c1', text: 'x', ['😀'.repeat(10_000)]: 1 });
    expect([...(long?.detail ?? '')]).toHaveLength(200);
    expect(long?.detail).not.toMatch(/\p{Surrogate}/u);
  });

  it('is worth a retry exactly when it is rate-limited, rebuilding or unavailable', () => {
    const retryable = Object.entries(problemCodes).filter(([, { retryable }]) => retryable);
    expect(retryable.map(([code]) => code)).toEqual(['rate-limited', 'rebuilding', 'unavailable']);
  });
});
