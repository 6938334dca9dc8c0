import { homedir } from 'node:os';

/**
 * What the engines need to know of the surroundings. Read here and nowhere else; engines get a
 * small environment of their own, so that no PGDATA or LC_ALL of the caller changes what they do.
 */
export const surroundings = {
  searchPath: (process.env['PATH'] ?? '/usr/local/bin:/usr/bin:/bin')
    .split(':')
    .filter((entry) => entry !== ''),
  home: homedir(),
  /** Proxies and Docker addresses are the user's own business and are passed on. */
  inherited: process.env,
};

export function engineEnvironment(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  return { PATH: surroundings.searchPath.join(':'), LC_ALL: 'C', TZ: 'UTC', HOME: '/', ...extra };
}
