import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { serviceNames, type ServiceName } from '@tidemark/contracts';
import { projectFolder } from '@tidemark/engines';
import { parse } from 'yaml';

const read = (name: string): string => readFileSync(join(projectFolder(), 'docker', name), 'utf8');

interface ComposeService {
  build?: { args: { SERVICE: ServiceName } };
  environment?: Record<string, string>;
  user?: string;
  privileged?: boolean;
  ports?: string[];
  read_only?: boolean;
  cap_drop?: string[];
  security_opt?: string[];
}
const servicesIn = (name: string) =>
  (parse(read(name), { merge: true }) as { services: Record<string, ComposeService> }).services;
const services = servicesIn('compose.yaml');

describe('the images', () => {
  it('run as somebody who is not root, by number, from the last stage on', () => {
    const stages = read('Dockerfile').split(/^FROM /m);
    const users = stages.at(-1)!.match(/^USER .*$/gm);
    expect(users).toEqual(['USER 1000:1000']);
    const lines = stages.at(-1)!.split('\n');
    const index = (start: string) => lines.findIndex((line) => line.startsWith(start));
    expect(index('USER')).toBeLessThan(index('CMD'));
    // What runs cannot change itself: nothing is given to that user.
    expect(stages.at(-1)).not.toMatch(/--chown|chmod/);
  });
});

describe('the containers', () => {
  const ours = Object.entries(services).filter(([name]) => !/^(postgres|redis)/.test(name));

  it('of ours have a root that nobody can write to, no capability and no way to more', () => {
    expect(ours.map(([name]) => name)).toEqual([...serviceNames, 'migrate', 'ingress']);
    for (const [name, service] of ours) {
      expect([name, service]).toEqual([
        name,
        expect.objectContaining({
          read_only: true,
          cap_drop: ['ALL'],
          security_opt: ['no-new-privileges:true'],
        }),
      ]);
      // The ingress is the image of others, so it is told.
      expect([name, service.user]).toEqual([name, name === 'ingress' ? '101:101' : undefined]);
    }
  });

  it('are reached through the ingress alone, and none is privileged', () => {
    for (const [name, { ports, privileged }] of Object.entries(services)) {
      expect([name, ports !== undefined, privileged]).toEqual([name, name === 'ingress', undefined]);
    }
  });

  it('are laid over for a replay with ports of this host, and with nothing else', () => {
    const laidOver = servicesIn('compose.replay.yaml');
    expect(Object.keys(laidOver)).toEqual([...serviceNames, 'postgres', 'redis']);
    for (const [name, service] of Object.entries(laidOver)) {
      expect([name, service]).toEqual([name, { ports: [expect.stringMatching(/^127\.0\.0\.1::\d+$/)] }]);
    }
  });

  it('of services are told of their own user of Redis, and of no other', () => {
    for (const name of serviceNames) {
      const own = `${name.replaceAll('-', '_').toUpperCase()}_REDIS_PASSWORD`;
      const { environment = {} } = services[name]!;
      expect(environment['REDIS_URL']).toBe(`redis://${name}:\${${own}}@redis:6379`);
      const others = Object.entries(environment).filter(([variable]) => variable !== 'REDIS_URL');
      expect(JSON.stringify(others)).not.toContain('REDIS_PASSWORD');
    }
  });
});

describe('the users of Redis', () => {
  const users = read('redis-users.acl')
    .trim()
    .split('\n')
    .map((line) => line.split(' ').slice(1));

  it('are the operator and the services, each with a password', () => {
    expect(users.map(([name]) => name)).toEqual(['default', ...serviceNames]);
    for (const [name = '', ...rules] of users) {
      const password = name === 'default' ? '' : `${name.replaceAll('-', '_').toUpperCase()}_`;
      expect(rules.filter((rule) => rule.startsWith('>'))).toEqual([`>$${password}REDIS_PASSWORD`]);
    }
  });

  it('may do nothing to everything, but for the operator', () => {
    for (const [name = '', ...rules] of users.slice(1)) {
      const wide = rules.filter((rule) =>
        /^\(?(~\*|&\*|allkeys|allchannels|nopass|allcommands|\+@(all|admin|dangerous|scripting))/.test(rule),
      );
      expect([name, wide]).toEqual([name, []]);
    }
  });
});
