import { styleText } from 'node:util';
import { describe, expect, test } from 'vitest';
import { table } from '../../../src/cli/text/table.ts';
import { startBrokerHere } from '../../support/broker/broker-here.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';
import { cli, hasTerminals, onTerminal } from '../run-cli.ts';

const STATUS = { text: 'pending_deletion', tone: 'warning' } as const;
const ROWS = [
  [
    '00000000-0000-4000-8000-000000000001',
    'lab-1',
    STATUS,
    'a-holder-with-a-name-that-goes-on',
    '2030-01-01T00:00:00Z',
  ],
  ['sbx-2', 'a\u001b[31mb', STATUS, undefined, '2030-01-01T00:00:00Z'],
];
const COLUMNS = ['ID', 'NAME', 'STATUS', 'HOLDER', 'EXPIRES'];

describe('a table', () => {
  test('is as wide as its cells where nothing bounds it, and gives no orders to a terminal', () => {
    const [head, first, second] = table(COLUMNS, ROWS);
    expect(head).toMatch(/^ID {36}NAME /);
    expect(first).toContain('00000000-0000-4000-8000-000000000001  lab-1   ');
    expect(first).toContain('a-holder-with-a-name-that-goes-on  2030-01-01T00:00:00Z');
    expect(second).toContain('a\ufffd[31mb');
  });

  test('fits into a terminal: the widest columns give way, what would be worth nothing cut does not', () => {
    const lines = table(COLUMNS, ROWS, 90);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(90);
    expect(lines[1]).toMatch(
      /^00000000-0000\S*… {2}lab-1 +pending_deletion {2}a-holder-\S*… {2}2030-01-01T00:00:00Z$/,
    );
    expect(lines[2]).toContain('sbx-2 ');
  });

  test('is as narrow as it can be in a terminal that is too narrow for all of it', () => {
    expect(table(COLUMNS, ROWS, 10)[1]).toBe(
      '00000…  lab-1   pending_deletion  a-hol…  2030-01-01T00:00:00Z',
    );
  });
});

describeOnFastEngine('the command line on a terminal', ({ endpoint }) => {
  test.skipIf(!hasTerminals)(
    'cuts tables to it, unless --wide, and has colours, unless NO_COLOR',
    async () => {
      const here = await startBrokerHere(endpoint, { SIMULATED_POOL_SIZE: '1' });
      const holder = 'h'.repeat(90);
      const env = { BROKER_URL: here.url };
      await cli(['allocate', '--holder', holder], { env });
      const [cut, wide, plain, piped] = await Promise.all([
        onTerminal(['list'], { env }),
        onTerminal(['list', '--wide'], { env }),
        onTerminal(['list'], { env: { ...env, NO_COLOR: '1' } }),
        cli(['list'], { env }),
      ]);
      expect(cut.lines[1]).toContain(`  ${styleText('blue', 'allocated', { validateStream: false })}  hhh`);
      expect(cut.lines[1]).toContain('h…  ');
      expect(wide.lines[1]).toContain(holder);
      expect(plain.lines[1]).toMatch(/^.{0,80}$/);
      expect(plain.lines[1]).toContain(' allocated  hh');
      expect(piped.stdout).toContain(` allocated  ${holder}  `);
    },
  );
});
