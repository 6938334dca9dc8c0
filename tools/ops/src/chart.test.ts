/* eslint-disable @typescript-eslint/no-explicit-any, @typescript-eslint/no-unsafe-argument, @typescript-eslint/no-unsafe-call,
   @typescript-eslint/no-unsafe-return -- manifests are held to their types by the first test, and looked into by the others */
import { routes, serviceNames } from '@tidemark/contracts';
import { loadConfig } from '@tidemark/runtime';
import { misfits, render, type KubernetesObject } from './chart.js';
import { findHelm } from './helm.js';

const helm = findHelm();
const everything = {
  image: { repository: 'registry.example/tidemark', tag: '1.2.3', pullSecrets: [{ name: 'pull' }] },
  secrets: {
    REPLICA_URLS: { name: 'databases', key: 'replicas' },
    JWT_SECRET: null,
    JWKS_URL: { name: 'idp', key: 'jwks' },
  },
  settings: { ORIGINS: 'https://chat.example', SHARDS: 32, READ_ACK: 'database', JWT_AUDIENCE: 'chat' },
  drainMs: 30_000,
  services: Object.fromEntries(serviceNames.map((name) => [name, { autoscaling: { enabled: true } }])),
  ingress: { tlsSecret: 'tls', annotations: { 'a.example/b': 'c' } },
  networkPolicy: { egressTo: [{ ipBlock: { cidr: '10.0.0.0/8' } }] },
  podAnnotations: { 'a.example/c': 'd' },
  ...{ nodeSelector: { disk: 'ssd' }, tolerations: [{ key: 'chat', operator: 'Exists' }] },
};
const least = {
  ...{ ingress: { enabled: false }, networkPolicy: { enabled: false }, migrations: { enabled: false } },
};

const pods = (objects: KubernetesObject[]): { of: KubernetesObject; spec: any }[] =>
  objects
    .filter(({ kind }) => kind === 'Deployment' || kind === 'Job')
    .map((of) => ({ of, spec: (of['spec'] as any).template.spec }));
const ofKind = (objects: KubernetesObject[], kind: string): any[] =>
  objects.filter((object) => object.kind === kind);

(helm ? describe : describe.skip)(
  'the chart, by helm (skipped where there is none: npm run check:chart brings it)',
  () => {
    const rendered = new Map<string, KubernetesObject[]>();
    const of = (name: string) => rendered.get(name)!;
    beforeAll(() => {
      for (const [name, values] of Object.entries({ usual: {}, everything, least })) {
        rendered.set(name, render(helm!, values));
      }
    });

    it('fits the published types of Kubernetes, whatever is switched on', () => {
      expect(misfits([...of('usual'), ...of('everything'), ...of('least')])).toEqual([]);
    });

    it('would be noticed where it does not', () => {
      const [deployment] = ofKind(of('usual'), 'Deployment');
      const [container] = deployment.spec.template.spec.containers;
      const { selector: _, ...withoutSelector } = deployment.spec;
      const broken = [
        { ...deployment, spec: { ...deployment.spec, replica: 2 } },
        { ...deployment, spec: withoutSelector },
        {
          ...deployment,
          spec: {
            ...deployment.spec,
            template: {
              spec: {
                containers: [{ ...container, readinessProbe: { httpGet: { path: 1, port: 'http' } } }],
              },
            },
          },
        },
      ];
      expect(misfits(broken)).toEqual([
        expect.stringMatching(/replica.* does not exist in type 'DeploymentSpec'/),
        expect.stringContaining(`Property 'selector' is missing`),
        expect.stringContaining(`'number' is not assignable to type 'string'`),
      ]);
    });

    it('sets no variable that a service would refuse', () => {
      for (const name of ['usual', 'everything']) {
        const [config] = ofKind(of(name), 'ConfigMap');
        for (const service of serviceNames) {
          const { spec } = pods(of(name)).find(
            ({ of: { metadata } }) => metadata.name === `chat-${service}`,
          )!;
          const secret: Record<string, string> = {
            DATABASE_URL: 'postgres://a/b',
            REPLICA_URLS: 'postgres://c/b',
            REDIS_URL: 'redis://a',
            JWT_SECRET: '0123456789abcdef0123456789abcdef',
            JWKS_URL: 'https://idp.example/keys',
          };
          const env = Object.fromEntries(
            spec.containers[0].env.map(({ name: variable, value }: { name: string; value?: string }) => [
              variable,
              value ?? secret[variable],
            ]),
          );
          const loaded = loadConfig(service, { ...config.data, ...env });
          expect(loaded).toMatchObject({
            nodeEnv: 'production',
            drainMs: name === 'usual' ? 10_000 : 30_000,
          });
        }
      }
    });

    it('runs nothing as root, with a writable root, or with more time to stop than it needs to drain', () => {
      for (const name of ['usual', 'everything', 'least']) {
        const drainS = name === 'everything' ? 30 : 10;
        for (const { of: owner, spec } of pods(of(name))) {
          expect(spec).toMatchObject({
            automountServiceAccountToken: false,
            securityContext: {
              runAsNonRoot: true,
              runAsUser: 1000,
              seccompProfile: { type: 'RuntimeDefault' },
            },
          });
          const [container] = spec.containers;
          expect(container.securityContext).toEqual({
            ...{
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ['ALL'] },
            },
          });
          expect(container.resources).toMatchObject({ requests: { cpu: expect.any(String) }, limits: {} });
          if (owner.kind === 'Job') continue;
          expect(spec.terminationGracePeriodSeconds).toBe(5 + drainS + 5);
          expect(container).toMatchObject({
            livenessProbe: { httpGet: { path: '/health/live' } },
            readinessProbe: { httpGet: { path: '/health/ready' } },
            lifecycle: { preStop: { sleep: { seconds: 5 } } },
          });
        }
      }
    });

    it('holds no secret, and names where each is', () => {
      expect(ofKind(of('everything'), 'Secret')).toEqual([]);
      const { spec } = pods(of('everything'))[0]!;
      expect(spec.containers[0].env).toContainEqual({
        ...{ name: 'JWKS_URL', valueFrom: { secretKeyRef: { name: 'idp', key: 'jwks' } } },
      });
      expect(JSON.stringify(spec)).not.toContain('JWT_SECRET');
    });

    it('gives a service what is for it alone, and the others what is for all', () => {
      const secrets = { REDIS_URL: { name: 'redis', key: 'worker' } };
      for (const { of: owner, spec } of pods(render(helm!, { services: { 'sync-worker': { secrets } } }))) {
        if (owner.kind === 'Job') continue;
        const { valueFrom } = spec.containers[0].env.find(
          ({ name }: { name: string }) => name === 'REDIS_URL',
        );
        const isWorker = owner.metadata.name === 'chat-sync-worker';
        expect(valueFrom.secretKeyRef).toEqual(
          isWorker ? secrets.REDIS_URL : { name: 'tidemark', key: 'REDIS_URL' },
        );
      }
    });

    it('migrates before anything else, told of the database alone', () => {
      const [job] = ofKind(of('usual'), 'Job');
      expect(job.metadata.annotations['helm.sh/hook']).toBe('pre-install,pre-upgrade');
      const [{ env, envFrom }] = job.spec.template.spec.containers;
      expect([env.map(({ name }: { name: string }) => name), envFrom]).toEqual([['DATABASE_URL'], undefined]);
      expect(ofKind(of('least'), 'Job')).toEqual([]);
    });

    it('lets no service call another', () => {
      const policies = ofKind(of('usual'), 'NetworkPolicy');
      expect(policies).toHaveLength(4);
      for (const { spec, metadata } of policies) {
        const [deployment] = ofKind(of('usual'), 'Deployment').filter(
          (each) => each.metadata.name === metadata.name,
        );
        expect(deployment.spec.template.metadata.labels).toMatchObject(spec.podSelector.matchLabels);
        for (const { from } of spec.ingress) {
          for (const peer of from) expect(Object.keys(peer)).toEqual(['namespaceSelector']);
        }
        expect(spec.ingress).toHaveLength(metadata.name === 'chat-sync-worker' ? 1 : 2);
      }
    });

    it.each(['Service', 'PodDisruptionBudget'])('has a %s whose selector is that of the pods', (kind) => {
      for (const { spec, metadata } of ofKind(of('usual'), kind)) {
        const [deployment] = ofKind(of('usual'), 'Deployment').filter(
          (each) => each.metadata.name === metadata.name,
        );
        const labels = deployment.spec.template.metadata.labels;
        expect(labels).toMatchObject(kind === 'Service' ? spec.selector : spec.selector.matchLabels);
      }
      expect(ofKind(of('usual'), kind)).toHaveLength(4);
    });

    it('routes every public route to the service that has it, and nothing of health or metrics', () => {
      const paths = ofKind(of('usual'), 'Ingress').flatMap(({ spec }) => spec.rules[0].http.paths);
      // As ingress-nginx does: the longest expression first.
      const byLength = [...paths].sort((a, b) => b.path.length - a.path.length);
      const to = (path: string): string | undefined =>
        byLength.find((rule) => new RegExp(`^${rule.path}`, 'i').test(path))?.backend.service.name;
      for (const { path, services, developmentOnly } of Object.values(
        routes,
      ) as (typeof routes)[keyof typeof routes][] & { developmentOnly?: boolean }[]) {
        const real = path.replace(/\{\w+\}/g, '42');
        if (services.length > 1 || developmentOnly) expect([path, to(real)]).toEqual([path, undefined]);
        else expect([path, to(real)]).toEqual([path, `chat-${services[0]}`]);
      }
      expect(to('/socket.io/')).toBe('chat-realtime-gateway');
      expect(to('/docs')).toBe('chat-message-api');
    });

    it('leaves the number of pods to whoever scales them', () => {
      const scaled = ofKind(of('everything'), 'HorizontalPodAutoscaler');
      expect(scaled.map(({ spec }) => spec.scaleTargetRef.name)).toEqual(
        ofKind(of('everything'), 'Deployment').map(({ metadata }) => metadata.name),
      );
      for (const { spec } of ofKind(of('everything'), 'Deployment')) expect(spec.replicas).toBeUndefined();
      for (const { spec } of ofKind(of('usual'), 'Deployment')) expect(spec.replicas).toBe(2);
    });

    it.each([
      [{ settings: { READ_STATUS_STRATEGIE: 'watermark' } }, /READ_STATUS_STRATEGIE/],
      [{ services: { gateway: { replicas: 2 } } }, /gateway/],
      [{ drainMs: '10s' }, /drainMs/],
      [{ secrets: { DATABASE_URL: 'postgres://a:b@c/d' } }, /DATABASE_URL/],
      [{ replicas: 3 }, /replicas/],
    ])('refuses %j', (values, why) => expect(() => render(helm!, values)).toThrow(why));
  },
);
