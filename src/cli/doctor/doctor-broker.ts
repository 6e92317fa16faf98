import type { Status } from '../../api/types/status.ts';
import type { Answer } from '../../client/call.ts';
import { BrokerError } from '../../client/index.ts';
import { as } from '../answers.ts';
import { brokerUrl, callerFor, type GlobalOptions, type Role } from '../environment.ts';
import { CliError } from '../exit-codes.ts';
import { adviceFor, bad, type Finding, ok, warn } from './findings.ts';

const MAX_SKEW_SECONDS = 5;
/** Whoever asks the doctor wants to know now, not after all retries. */
const PATIENCE_SEC = 3;

const VARIABLES = { track: 'BROKER_API_TOKEN', admin: 'BROKER_ADMIN_TOKEN' } as const;

/**
 * Asks the broker that runs, if one does: whether and how it serves, how it gets on with its provider, whether it takes
 * our tokens, and has our time.
 */
export async function examineBroker(options: GlobalOptions): Promise<Finding[]> {
  const quick = { ...options, timeout: Math.min(options.timeout, PATIENCE_SEC) };
  const health = await ask(quick, 'track', '/healthz');
  if (health instanceof BrokerError || health instanceof CliError) {
    return [warn('broker', `${health.message} Start it with sandbox-broker serve, or name it with --url.`)];
  }
  const ready = await ask(quick, 'track', '/readyz');
  const status = await ask(quick, 'admin', '/v1/admin/status');
  return [
    ok('broker', `${brokerUrl(options)} answers`),
    readinessOf(ready),
    ...(status instanceof Error ? [] : [providerOf(as<Status>(status))]),
    skewOf(health),
    tokenFinding('track', await ask(quick, 'track', '/v1/sandboxes/doctor')),
    tokenFinding('admin', status),
  ];
}

function readinessOf(answer: Answer | Error): Finding {
  if (answer instanceof Error) return bad('readiness', `The broker does not serve: ${answer.message}`);
  const { verdict, reasons } = as<{ verdict: string; reasons: string[] }>(answer);
  if (verdict === 'no_go') return bad('readiness', `The broker refuses all calls: ${reasons.join('; ')}.`);
  return verdict === 'go'
    ? ok('readiness', 'it serves')
    : warn('readiness', `It serves, but ${reasons.join('; ')}.`);
}

/** The broker's own provider, which need not be the one that this shell names. */
function providerOf({ provider, breakers }: Status): Finding {
  const { kind, last_sync: sync } = provider;
  const suspended = breakers.filter(({ name, state }) => name.startsWith('csp_') && state !== 'closed');
  if (sync?.error !== undefined) {
    return bad('provider', `The broker's last sync failed (${sync.error}): ${adviceFor(sync.error)}.`);
  }
  if (suspended.length > 0) {
    const names = suspended.map(({ name }) => name).join(', ');
    return bad('provider', `The broker has suspended calls (${names}): sandbox-broker alerts says why.`);
  }
  if (kind === 'simulated') {
    return warn('provider', 'Simulated: nobody gets a real sandbox. Set CSP_BASE_URL and CSP_API_TOKEN.');
  }
  if (sync === null) return warn('provider', 'The broker has not ended a sync yet.');
  return sync.listed === 0
    ? warn('provider', 'It lists no sandboxes: the pool stays empty. Look for active ones there.')
    : ok('provider', `the broker's last sync listed ${sync.listed} sandboxes`);
}

async function ask(
  options: GlobalOptions,
  role: Role,
  path: string,
): Promise<Answer | BrokerError | CliError> {
  try {
    return await callerFor(role, options)({ method: 'GET', path, headers: { 'x-track-id': 'doctor' } });
  } catch (error) {
    if (error instanceof BrokerError || error instanceof CliError) return error;
    throw error;
  }
}

function tokenFinding(role: Role, answer: Answer | Error): Finding {
  const name = `${role} token`;
  if (answer instanceof CliError) return warn(name, answer.message);
  if (answer instanceof BrokerError && (answer.status === undefined || answer.status === 429)) {
    return warn(name, `It could not be tried: ${answer.message}`);
  }
  if (answer instanceof BrokerError && (answer.status === 401 || answer.status === 403)) {
    // 403 for a sandbox of another's: the token itself was taken.
    if (answer.code !== 'NOT_SANDBOX_OWNER') {
      return bad(
        name,
        `The broker does not take it (${answer.code}): set ${VARIABLES[role]} to the one it was started with.`,
      );
    }
  }
  return ok(name, 'the broker takes it');
}

/** By the answer's date, which has whole seconds. */
function skewOf({ headers }: Answer): Finding {
  const theirsMs = Date.parse(headers.get('date') ?? '');
  if (Number.isNaN(theirsMs)) return warn('broker clock', 'The answer has no date.');
  const seconds = Math.round(Math.abs(Date.now() - theirsMs) / 1000);
  return seconds <= MAX_SKEW_SECONDS
    ? ok('broker clock', 'it has the time of this machine')
    : warn('broker clock', `It differs from this machine's by ${seconds} s: let both follow a time server.`);
}
