import closeWithGrace from 'close-with-grace';
import { type Broker, composeBroker } from './compose/index.ts';
import { ConfigError, loadConfig } from './config/index.ts';
import { hasCode } from './domain/errors.ts';
import { explainStoreFailure } from './store/dynamo/store-failure.ts';
import { EngineError } from './store/engine/error.ts';
import { TableError } from './store/table.ts';

/** Ends the process with one clear sentence on standard error. */
function fail(sentence: string): never {
  process.stderr.write(`${sentence}\n`);
  process.exit(1);
}

function readConfig() {
  try {
    return loadConfig(process.env);
  } catch (error) {
    if (error instanceof ConfigError) fail(error.message);
    throw error;
  }
}

/** The sentence for a start that failed in a way its starter can mend; undefined for what is the broker's own fault. */
function explain(error: unknown, { host, port }: { host: string; port: number }): string | undefined {
  if (error instanceof EngineError || error instanceof TableError) return error.message;
  const ofStore = explainStoreFailure(error);
  if (ofStore !== undefined) return ofStore;
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  switch (error.code) {
    case 'EADDRINUSE':
      return `Port ${port} on ${host} is in use: stop what listens there, or set PORT to another.`;
    case 'EACCES':
      return `Port ${port} on ${host} may not be used by this user: set PORT to one above 1023.`;
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return `HOST ${host} is not an address of this machine.`;
    default:
      return undefined;
  }
}

const config = readConfig();
const broker: Broker = composeBroker(config);
// The first of those who listen: the log's library would wait for a reader.
process.prependOnceListener('exit', broker.endLogs);

closeWithGrace(
  {
    delay: config.shutdownTimeoutMs,
    logger: false,
    onTimeout: () =>
      fail(`The shutdown took longer than ${config.shutdownTimeoutMs} ms; it hung at: ${broker.stopStep()}.`),
    onSecondSignal: (signal) => fail(`A second ${signal}: gone at once.`),
    onSecondError: (error) =>
      fail(`Failed while shutting down: ${error instanceof Error ? error.stack : error}`),
  },
  async ({ err }) => {
    if (err) broker.logger.fatal({ action: 'crash', err }, 'unexpected error');
    await broker.stop();
  },
);

try {
  await broker.start();
} catch (error) {
  // Told to stop while it started: that stop goes on, and ends the process.
  if (!hasCode(error, 'SHUTTING_DOWN')) {
    const sentence = explain(error, config);
    if (sentence === undefined) broker.logger.fatal({ action: 'start', err: error }, 'the start failed');
    await broker.stop();
    fail(sentence ?? 'The start failed; the log says why.');
  }
}
