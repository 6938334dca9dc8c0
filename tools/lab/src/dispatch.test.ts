import { ArgumentsError } from './command.js';
import { dispatch } from './dispatch.js';

describe('npm run lab', () => {
  let said: { stdout: string; stderr: string };
  beforeEach(() => {
    said = { stdout: '', stderr: '' };
    for (const where of ['stdout', 'stderr'] as const)
      jest.spyOn(process[where], 'write').mockImplementation((text) => {
        said[where] += String(text);
        return true;
      });
  });
  afterEach(() => jest.restoreAllMocks());

  const commands = {
    echo: async () => ({
      usage: 'npm run lab -- echo',
      run: async (typed: string[]) => {
        if (typed.includes('--odd')) throw new ArgumentsError('--odd: there is no such thing');
        return typed.length;
      },
    }),
  };

  it('runs the command that is named, with what follows, and ends with its exit code', async () => {
    expect(await dispatch(['echo', 'a', 'b', 'c'], commands)).toBe(3);
  });

  it.each([[[]], [['ecko']], [['constructor']]])(
    'names the commands there are where %j was typed',
    async (typed) => {
      expect(await dispatch(typed, commands)).toBe(2);
      expect(said.stderr).toContain('npm run lab -- echo [options]');
    },
  );

  it('shows the usage of a command that was given what it does not know', async () => {
    expect(await dispatch(['echo', '--odd'], commands)).toBe(2);
    expect(said.stderr).toBe('--odd: there is no such thing\n\nnpm run lab -- echo\n');
  });

  it('shows help where it is asked for', async () => {
    expect(await dispatch(['echo', '--help'], commands)).toBe(0);
    expect(said.stdout).toBe('npm run lab -- echo\n');
  });
});
