import { describe, expect, test } from 'vitest';
import { describeConfig } from '../../src/config/description.ts';
import { ConfigError, configSecrets, loadConfig } from '../../src/config/index.ts';

const URL_WITH_SECRETS =
  'https://hook-user:p%40ssw%2Frd@hooks.example/services/T0000000/secret-path-part?key=secret-query-part&v=1';

const problemOf = (env: Record<string, string>): string => {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.message;
    throw error;
  }
  return '';
};

describe('where runbooks are', () => {
  test('is the broker itself unless it is said', () => {
    expect(loadConfig({}).runbookUrl).toBeUndefined();
    const RUNBOOK_URL = 'https://wiki.example/broker?page=operations';
    expect(loadConfig({ RUNBOOK_URL }).runbookUrl).toBe(RUNBOOK_URL);
  });

  test.each([
    'docs/operations.md',
    'ftp://wiki.example',
    'https://wiki.example/#x',
    'https://me:secret@wiki.example',
  ])('is an address to read at: not %s', (RUNBOOK_URL) =>
    expect(problemOf({ RUNBOOK_URL })).toContain('RUNBOOK_URL'),
  );
});

describe('the alert webhook', () => {
  test('is nowhere unless it is set', () => {
    expect(loadConfig({})).toMatchObject({ alertWebhook: undefined, poolLowWatermark: 0 });
    expect(loadConfig({ ALERT_WEBHOOK_SECRET: 'a-secret-without-use' }).alertWebhook).toBeUndefined();
  });

  test('is where, how and signed with what the environment says', () => {
    const env = {
      ALERT_WEBHOOK_URL: URL_WITH_SECRETS,
      ALERT_WEBHOOK_FORMAT: 'slack',
      ALERT_WEBHOOK_SECRET: 'a-signing-secret',
      POOL_LOW_WATERMARK: '25',
    };
    expect(loadConfig(env)).toMatchObject({
      alertWebhook: { url: URL_WITH_SECRETS, format: 'slack', secret: 'a-signing-secret' },
      poolLowWatermark: 25,
    });
  });

  test.each([
    { ALERT_WEBHOOK_URL: 'hooks.example/s3cret' },
    { ALERT_WEBHOOK_URL: 'ftp://hooks.example/s3cret' },
    { ALERT_WEBHOOK_URL: 'https://hooks.example/s3cret#part' },
    { ALERT_WEBHOOK_URL: 'https://hooks.example/s3cret part' },
    { ALERT_WEBHOOK_URL: `https://hooks.example/s3cret${'x'.repeat(2_048)}` },
    { ALERT_WEBHOOK_SECRET: 's3cret' },
    { ALERT_WEBHOOK_SECRET: 's3cret with blanks in it' },
    { ALERT_WEBHOOK_FORMAT: 'teams' },
    { POOL_LOW_WATERMARK: '-1' },
    { POOL_LOW_WATERMARK: '1.5' },
  ])('%o stops the start with a sentence that names the variable and shows no secret', (env) => {
    const problem = problemOf(env as Record<string, string>);
    expect(problem).toMatch(new RegExp(`^${Object.keys(env)[0]} is .*: it must be `));
    expect(problem).not.toContain('s3cret');
  });

  test('is described without anything that it takes to write there', () => {
    const config = loadConfig({
      ALERT_WEBHOOK_URL: URL_WITH_SECRETS,
      ALERT_WEBHOOK_SECRET: 'a-signing-secret',
    });
    const described = describeConfig(config);
    expect(described['alertWebhook']).toEqual({
      origin: 'https://hooks.example',
      format: 'generic',
      signed: true,
    });
    expect(JSON.stringify(described)).not.toMatch(/secret-|signing|hook-user|T0000000|ssw/);
  });

  test('has every part of its URL that may be a secret masked in the logs, and no everyday word', () => {
    const config = loadConfig({
      ALERT_WEBHOOK_URL: URL_WITH_SECRETS,
      ALERT_WEBHOOK_SECRET: 'a-signing-secret',
    });
    const secrets = configSecrets(config);
    expect(secrets).toEqual(
      expect.arrayContaining([
        URL_WITH_SECRETS,
        '/services/T0000000/secret-path-part?key=secret-query-part&v=1',
        'secret-path-part',
        'secret-query-part',
        'p%40ssw%2Frd',
        'p@ssw/rd',
        'a-signing-secret',
      ]),
    );
    for (const word of ['services', '/', '', '1', 'hook-user', 'https://hooks.example']) {
      expect(secrets).not.toContain(word);
    }
  });

  test('has a user without a password for a token, and masked', () => {
    const secrets = configSecrets(loadConfig({ ALERT_WEBHOOK_URL: 'https://t%2Foken@hooks.example/alerts' }));
    expect(secrets).toEqual(expect.arrayContaining(['t%2Foken', 't/oken']));
    // It would be torn out of the broker's own paths.
    expect(secrets).not.toContain('/alerts');
  });

  test('at the root of a host makes no secret of the slash', () => {
    expect(configSecrets(loadConfig({ ALERT_WEBHOOK_URL: 'https://hooks.example' }))).not.toContain('/');
  });
});
