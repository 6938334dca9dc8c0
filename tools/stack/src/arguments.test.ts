import { parseArguments } from './arguments.js';

describe('arguments of npm start', () => {
  it('say how many of everything', () => {
    const typed =
      '--instances message-api=2,realtime-gateway=3 --pg-replicas 1 --replica-lag 300ms --redis-cluster';
    expect(parseArguments(typed.split(' '))).toEqual({
      instances: { 'message-api': 2, 'realtime-gateway': 3 },
      pgReplicas: 1,
      replicaLagMs: 300,
      redisCluster: true,
    });
  });

  it('may be left out', () => {
    expect(parseArguments([])).toEqual({});
  });

  it.each([
    ['300ms', 300],
    ['300', 300],
    ['1.5s', 1_500],
    ['0', 0],
  ])('take %s for a time', (text, replicaLagMs) => {
    expect(parseArguments(['--replica-lag', text])).toEqual({ replicaLagMs });
  });

  it('can leave the web app out', () => {
    expect(parseArguments(['--no-web'])).toEqual({ web: false });
  });

  it('can ask for help', () => {
    expect(parseArguments(['--help'])).toBeNull();
  });

  it.each([
    [['--instances', 'gateway=2'], '--instances: there is no "gateway", only message-api, realtime-gateway'],
    [['--instances', 'message-api'], '--instances: write message-api=2, not "message-api"'],
    [['--instances', 'message-api=0'], '--instances message-api: "0" is not a whole number from 1 to 16'],
    [['--instances', ''], '--instances: there is no ""'],
    [['--pg-replicas', 'one'], '--pg-replicas: "one" is not a whole number from 0 to 8'],
    [['--replica-lag', 'long'], '--replica-lag: "long" is not a time up to 600000ms, such as 300ms or 2s'],
    [['--replica-lag', '900s'], '--replica-lag: "900s" is not a time'],
    [['--pg-replicas'], "Option '--pg-replicas <value>' argument missing"],
    [['--nonsense'], "Unknown option '--nonsense'"],
    [['extra'], "Unexpected argument 'extra'"],
  ])('that are wrong are refused in one line: %j', (typed, message) => {
    const refusal = refusalOf(typed);
    expect(refusal.message).toContain(message);
    expect(refusal.message).not.toContain('\n');
    expect(refusal).toHaveProperty('code', 'STACK_OPTIONS');
  });
});

function refusalOf(typed: string[]): Error {
  try {
    parseArguments(typed);
  } catch (error) {
    return error as Error;
  }
  throw new Error('nothing was refused');
}
