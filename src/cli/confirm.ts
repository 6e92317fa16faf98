import { createInterface } from 'node:readline/promises';
import { CliError, EXIT, usageError } from './exit-codes.ts';

export interface ConfirmOptions {
  yes?: boolean;
}

/**
 * Asks on the terminal, unless `--yes` has answered before. Who says no ends with 1, and nothing was done; where nobody
 * can be asked it is wrong usage: a script has to say what it means.
 */
export async function confirm(question: string, { yes }: ConfirmOptions): Promise<void> {
  if (yes) return;
  if (!process.stdin.isTTY || !process.stderr.isTTY) {
    throw usageError(`${question} Nobody can be asked here: say --yes, or --count to see only how many.`);
  }
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await terminal.question(`${question} [y/N] `);
    if (/^y(es)?$/i.test(answer.trim())) return;
  } finally {
    terminal.close();
  }
  throw new CliError('Nothing was done.', { exitCode: EXIT.failure });
}
