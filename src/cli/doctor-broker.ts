import type { Answer } from '../client/call.ts';
import { BrokerError } from '../client/index.ts';
import { brokerUrl, callerFor, type GlobalOptions, type Role } from './environment.ts';
import { CliError } from './exit-codes.ts';
import { bad, type Finding, ok, warn } from './findings.ts';

const MAX_SKEW_SECONDS = 5;
/** Whoever asks the doctor wants to know now, not after all retries. */
const PATIENCE_SEC = 3;

const VARIABLES = { track: 'BROKER_API_TOKEN', admin: 'BROKER_ADMIN_TOKEN' } as const;

/** Asks the broker that runs, if one does: whether it serves, takes our tokens, and has our time. */
export async function examineBroker(options: GlobalOptions): Promise<Finding[]> {
  const quick = { ...options, timeout: Math.min(options.timeout, PATIENCE_SEC) };
  const health = await ask(quick, 'track', '/healthz');
  if (health instanceof BrokerError || health instanceof CliError) {
    return [warn('broker', `${health.message} Start it with sandbox-broker serve, or name it with --url.`)];
  }
  const ready = await ask(quick, 'track', '/readyz');
  return [
    ok('broker', `${brokerUrl(options)} answers`),
    ready instanceof Error
      ? bad('readiness', 'The broker does not serve: its /readyz names the check that fails.')
      : ok('readiness', 'it serves'),
    skewOf(health),
    tokenFinding('track', await ask(quick, 'track', '/v1/sandboxes/doctor')),
    tokenFinding('admin', await ask(quick, 'admin', '/v1/admin/stats')),
  ];
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
