import { describe, expect, test } from 'vitest';
import { loadConfig } from '../../src/config/index.ts';
import { VARIABLES } from '../../src/config/variables.ts';

describe('a variable that nobody knows', () => {
  test.each([
    ['SANDBOX_MAX_WORKRES', 'SANDBOX_MAX_WORKERS'],
    ['BROKER_ADMN_TOKEN', 'BROKER_ADMIN_TOKEN'],
    ['CSP_API_TOKENS', 'CSP_API_TOKEN'],
    ['DRY-RUN', 'DRY_RUN'],
    ['_DRY_RUN', 'DRY_RUN'],
    ['Port', 'PORT'],
  ])('is told where it is one edit away from a known one: %s', (name, meant) => {
    expect(loadConfig({ [name]: 'x' }).misspelt).toEqual([{ name, meant }]);
    expect(loadConfig({ [name]: ' ' }).misspelt).toEqual([]);
  });

  test('is nobody’s business otherwise, and no known one is taken for another', () => {
    const known = Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, ' ']));
    const others = ['HOME', 'PATH', 'HOSTNAME', 'TRACK_HOLDER', 'SANDBOX_BROKER_SERVICE_HOST', 'DRYRUNS'];
    expect(
      loadConfig({ ...known, ...Object.fromEntries(others.map((name) => [name, 'x'])) }).misspelt,
    ).toEqual([]);
  });
});
