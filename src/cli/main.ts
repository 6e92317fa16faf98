import { readFileSync } from 'node:fs';
import { CommanderError } from 'commander';
import { BrokerError } from '../client/index.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';
import { createOutput } from './output.ts';
import { createProgram } from './program.ts';

function readVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  return String(version);
}

/** Says what went wrong: a sentence, or with `--json` an object as the API's errors are. */
function report(error: unknown, json: boolean): void {
  const message = error instanceof Error ? error.message : String(error);
  const code = error instanceof BrokerError ? error.code : 'COMMAND_FAILED';
  const requestId = error instanceof BrokerError ? error.requestId : undefined;
  const { note } = createOutput({ json });
  if (json) {
    note(JSON.stringify({ error: { code, message, request_id: requestId } }));
    return;
  }
  const details = error instanceof BrokerError ? ` (${[code, requestId].filter(Boolean).join(', ')})` : '';
  note(`sandbox-broker: ${message}${details}`);
}

const program = createProgram(readVersion());
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Help and version are no mistakes; of the others commander has told.
    process.exitCode = error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  } else {
    report(error, program.opts()['json'] === true);
    process.exitCode = exitCodeOf(error);
  }
}
