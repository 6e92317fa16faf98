import type { IdleCost } from './idle.ts';
import type { LifeCost, StepCost } from './life.ts';
import { dollars } from './units.ts';

export interface Costs {
  takenAt: string;
  lives: LifeCost[];
  idle: IdleCost[];
}

export interface Table {
  title: string;
  head: string[];
  rows: string[][];
}

/** What a life may cost, write units. */
const LIFE_GOAL = 30;
/** What an idle month of one replica may cost, by the pool, US dollars; and the calls of a minute, of one and of each further one. */
const MONTH_GOALS = new Map([
  [20, 1],
  [50_000, 8],
  [1_000_000, 60],
]);
const CALLS_GOAL = { first: 60, further: 20 };

const fine = (value: number): string => (Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1));
const money = (value: number): string => `$${value.toFixed(2)}`;
const millions = (value: number): string => (value / 1e6).toFixed(2);

const stepRow = (life: string, step: StepCost, goal: string): string[] => [
  life,
  step.step,
  fine(step.calls),
  fine(step.writes),
  fine(step.writes + step.indexesDoubled),
  fine(step.bucketWrites),
  fine(step.reads),
  goal,
];

const callsGoal = ({ replicas }: IdleCost): number => CALLS_GOAL.first + (replicas - 1) * CALLS_GOAL.further;

/** The tables of `npm run bench -- --cost`. */
export const costTables = ({ lives, idle }: Costs): Table[] => [
  {
    title: 'A life of a lease',
    head: [
      'life',
      'step',
      'calls',
      'write units',
      'with index entries doubled',
      "of them in the sandbox's bucket",
      'read units',
      'goal',
    ],
    rows: lives.flatMap(({ life, steps, total }) => [
      ...steps.map((step) => stepRow(life, step, '')),
      stepRow(life, total, `≤ ${LIFE_GOAL}`),
    ]),
  },
  {
    title: 'An idle month',
    head: [
      'sandboxes',
      'replicas',
      'calls a minute',
      'goal',
      'million write units',
      'million read units',
      'a month',
      'goal',
      'of it, all the time',
      'sync',
      'cleanup and expiry',
      'counts',
    ],
    rows: idle.map((month) => {
      const part = (...names: string[]) =>
        money(names.reduce((sum, name) => sum + dollars(month.parts[name] ?? { reads: 0, writes: 0 }), 0));
      const goal = month.replicas === 1 ? MONTH_GOALS.get(month.sandboxes) : undefined;
      return [
        `${month.sandboxes.toLocaleString('en')}${month.isExtrapolated ? ' (computed)' : ''}`,
        String(month.replicas),
        month.callsPerMinute.toFixed(0),
        `≤ ${callsGoal(month)}`,
        millions(month.writes),
        millions(month.reads),
        money(dollars(month)),
        goal === undefined ? '' : `≤ ${money(goal)}`,
        part('all the time'),
        part('sync'),
        part('cleanup', 'expiry'),
        part('counts'),
      ];
    }),
  },
];
