import { expect, test } from 'vitest';
import { problemsOf } from '../support/config-problems.ts';

const PRODUCTION = {
  NODE_ENV: 'production',
  SANDBOX_DB_URL: 'dynamodb://eu-west-1',
  PROVIDER: 'simulated',
  BROKER_API_TOKEN: 'a-track-token-of-our-own',
  BROKER_ADMIN_TOKEN: 'an-admin-token-of-our-own',
};

test.for([
  ['BROKER_API_TOKEN', 'BROKER_ADMIN_TOKEN'],
  ['BROKER_API_TOKEN', 'BROKER_VIEWER_TOKEN'],
  ['BROKER_ADMIN_TOKEN', 'BROKER_VIEWER_TOKEN'],
] as const)('a token of two roles is refused without showing it: %s, %s', ([one, other]) => {
  const given = { [one]: 'an-old-one,both-secret', [other]: 'both-secret,a-new-one' };
  const said = `${one} and ${other} share a token: it would have two roles.`;
  expect(problemsOf(given)).toEqual([said]);
  expect(
    problemsOf({ ...PRODUCTION, [one]: `${given[one]}-long-enough`, [other]: `${given[one]}-long-enough` }),
  ).toContain(said);
});
