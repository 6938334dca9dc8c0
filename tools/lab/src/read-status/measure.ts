import { CursorLedger, type Strategy } from '@tidemark/testing';
import type { Report } from '../report/table.js';
import type { ReadStatusOptions } from './arguments.js';
import { loadChannels, type ChannelFigures } from './channel-load.js';
import { complexityOf } from './complexity.js';
import { holdIncrements, holdReports } from './customer.js';
import { loseRedis } from './durability.js';
import { Lab } from './lab.js';
import { measureMemory } from './memory.js';
import { People } from './people.js';
import { reportOf, type CustomerFigures, type StrategyFigures } from './tables.js';

/** What is not the customer's figure lasts such a part of its time. */
const PART = 6;

/** Of what the customer's rate is held, and under which strategy. */
const CUSTOMERS: Partial<Record<Strategy, { what: string; hold: typeof holdIncrements }>> = {
  'write-behind': { what: 'physical increments', hold: holdIncrements },
  watermark: { what: 'read reports', hold: holdReports },
};

/** Measures all that was asked for, one after the other. Complete: nothing was wrong, and nothing is missing. */
export async function measure(
  options: ReadStatusOptions,
  onProgress: (line: string) => void,
): Promise<{ report: Report; isComplete: boolean }> {
  const startedMs = performance.now();
  const lab = await Lab.open(onProgress);
  try {
    const people = new People(lab);
    const begin = async (strategy: Strategy) => {
      await lab.run(strategy);
      people.forgetTokens();
    };
    const figures: StrategyFigures[] = [];
    const held: CustomerFigures[] = [];
    const notMeasured: string[] = [];
    // What cannot be measured is no reason to keep quiet about the rest.
    const attempt = async (what: string, work: () => Promise<void>) => {
      await work().catch((error: Error) => {
        notMeasured.push(`${what}: not measured: ${error.message}`);
        onProgress(notMeasured.at(-1)!);
      });
    };
    for (const strategy of options.strategies) {
      await attempt(strategy, async () => {
        const measured = await measureStrategy(lab, people, strategy, options, begin);
        figures.push(measured);
        for (const line of wrongIn(measured)) onProgress(`Wrong: ${line}`);
      });
      const customers = CUSTOMERS[strategy];
      if (!customers) continue;
      onProgress(`${strategy}: ${options.rate} ${customers.what} a second, for ${options.seconds} s`);
      const { rate, seconds } = options;
      const what = `${customers.what}, ${strategy}`;
      await attempt(what, async () => {
        await begin(strategy);
        held.push({ what, held: await customers.hold(lab, people, rate, seconds) });
      });
    }

    const wrong = [
      ...figures.flatMap((of) => wrongIn(of).map((line) => `${of.strategy}: ${line}`)),
      ...held.flatMap(({ what, held: of }) => of.wrong.map((line) => `${what}: ${line}`)),
    ];
    const about = [...(await lab.describe()), `measured in ${minutes(performance.now() - startedMs)}`];
    return {
      report: reportOf({ about, figures, held, notMeasured, wrong }),
      isComplete: wrong.length + notMeasured.length === 0,
    };
  } finally {
    await lab.close();
  }
}

async function measureStrategy(
  lab: Lab,
  people: People,
  strategy: Strategy,
  { members, seconds }: ReadStatusOptions,
  begin: (strategy: Strategy) => Promise<void>,
): Promise<StrategyFigures> {
  lab.say(`${strategy}: Redis is killed`);
  await begin(strategy);
  const ledger = new CursorLedger();
  const loss = {
    before: await loseRedis(lab, people, ledger, 'before'),
    after: await loseRedis(lab, people, ledger, 'after'),
  };
  lab.say(`${strategy}: memory`);
  await begin(strategy);
  const memory = await measureMemory(lab, people);
  const loads: ChannelFigures[] = [];
  for (const size of members) {
    lab.say(`${strategy}: channels of ${size} members`);
    await begin(strategy);
    loads.push(await loadChannels(lab, people, size, Math.max(1, Math.round(seconds / PART))));
  }
  return { strategy, loads, loss, memory, complexity: complexityOf(strategy) };
}

const wrongIn = ({ loads, loss, memory }: StrategyFigures): string[] => [
  ...loss.before.wrong,
  ...loss.after.wrong,
  ...memory.wrong,
  ...loads.flatMap(({ members, wrong }) => wrong.map((line) => `${members} members: ${line}`)),
];

const minutes = (ms: number): string => `${(ms / 60_000).toFixed(1)} min`;
