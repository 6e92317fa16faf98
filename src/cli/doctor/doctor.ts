import { existsSync } from 'node:fs';
import { composeTools, countInventory, explainFailure, type Tools } from '../../compose/tools.ts';
import { type Config, ConfigError, loadConfig } from '../../config/index.ts';
import { environment, type GlobalOptions } from '../environment.ts';
import { examineBroker } from './doctor-broker.ts';
import { adviceFor, bad, type Finding, ok, warn } from './findings.ts';

const NEEDED_NODE = 24;
const STORE_WITHIN_MS = 15_000;
const PROVIDER_WITHIN_MS = 20_000;
const DEVELOPMENT_TOKENS = ['dev-track-token', 'dev-admin-token'];

/** Looks at everything a broker needs, and changes nothing. */
export async function examine(options: GlobalOptions): Promise<Finding[]> {
  const [major = 0] = process.versions.node.split('.').map(Number);
  const findings: Finding[] = [
    major >= NEEDED_NODE
      ? ok('node', `Node ${process.versions.node}`)
      : bad(
          'node',
          `Node ${process.versions.node} is too old: run npm ci, which brings Node ${NEEDED_NODE}.`,
        ),
  ];
  const config = readConfig(findings);
  const broker = await examineBroker(options);
  if (config !== undefined) {
    findings.push(tokensOf(config), ...(await examineStore(config)));
    // A broker that runs knows its provider, and this shell may name another.
    if (!broker.some(({ name }) => name === 'provider')) findings.push(await examineProvider(config));
  }
  return [...findings, ...broker];
}

function readConfig(findings: Finding[]): Config | undefined {
  try {
    const config = loadConfig(environment());
    findings.push(ok('configuration', `complete, for ${config.environment}`));
    for (const { name, meant } of config.misspelt) {
      findings.push(
        warn('configuration', `${name} is set, and no variable of the broker's: is ${meant} meant?`),
      );
    }
    return config;
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    findings.push(...error.problems.map((problem) => bad('configuration', problem)));
    return undefined;
  }
}

/** Production refuses them by itself; elsewhere they are worth knowing. */
function tokensOf({ trackTokens, adminTokens }: Config): Finding {
  const known = [...trackTokens, ...adminTokens].some((token) => DEVELOPMENT_TOKENS.includes(token));
  return known
    ? warn('tokens', 'Development tokens, which everyone knows: set BROKER_API_TOKEN and BROKER_ADMIN_TOKEN.')
    : ok('tokens', `${trackTokens.length} for tracks, ${adminTokens.length} for operators`);
}

async function examineStore(config: Config): Promise<Finding[]> {
  const { store } = config;
  if (store.kind === 'embedded') {
    if (store.file === undefined) return [warn('store', 'In memory: nothing is kept. Set SANDBOX_DB_URL.')];
    if (!existsSync(store.file))
      return [ok('store', `${store.file} is not there yet; the first start makes it.`)];
  }
  let tools: Tools | undefined;
  try {
    tools = await composeTools(config);
    return await examineTable(config, tools);
  } catch (error) {
    return [storeFailure(error)];
  } finally {
    await tools?.close();
  }
}

async function examineTable(config: Config, tools: Tools): Promise<Finding[]> {
  const report = await tools.describeTable(AbortSignal.timeout(STORE_WITHIN_MS));
  const reachable = ok('store', 'it answers');
  if (!report.exists) {
    const message = `There is no table ${report.table}`;
    return [
      reachable,
      config.createTable
        ? ok('table', `${message}; the first start makes it.`)
        : bad('table', `${message}: run sandbox-broker table create.`),
    ];
  }
  const laidOut = report.buckets;
  const layout =
    laidOut === undefined || laidOut === config.buckets
      ? ok('table', `${report.table} is ${report.status}, with ${laidOut ?? 'no'} buckets`)
      : bad(
          'table',
          `${report.table} has ${laidOut} buckets, DDB_BUCKETS says ${config.buckets}: set it to ${laidOut}.`,
        );
  const checks = await tools.checkStore(AbortSignal.timeout(STORE_WITHIN_MS));
  return [
    reachable,
    layout,
    ...checks.map(({ name, status, message }): Finding => {
      const isGrave = status === 'error' || status === 'critical';
      return { name, message, status: isGrave ? 'error' : status === 'warning' ? 'warning' : 'ok' };
    }),
  ];
}

function storeFailure(error: unknown): Finding {
  const { code, message } = error as { code?: unknown; message?: unknown };
  if (code === 'ENGINE_FILE_IN_USE')
    return ok('store', 'a broker on this machine has it open, and looks after it');
  return bad('store', explainFailure(error) ?? String(message));
}

async function examineProvider(config: Config): Promise<Finding> {
  try {
    const listed = await countInventory(config, AbortSignal.timeout(PROVIDER_WITHIN_MS));
    if (config.provider.kind === 'simulated') {
      return warn('provider', 'Simulated: nobody gets a real sandbox. Set CSP_BASE_URL and CSP_API_TOKEN.');
    }
    return listed > 0
      ? ok('provider', `it lists ${listed} sandboxes`)
      : warn('provider', 'It lists no sandboxes: the pool will be empty. Look for active ones there.');
  } catch (error) {
    const kind = error instanceof Error && 'kind' in error ? String(error.kind) : 'unknown';
    return bad('provider', `Its inventory cannot be read (${kind}): ${adviceFor(kind)}.`);
  }
}
