import { BrokerError, type BrokerErrorCode } from '../client/index.ts';

/** What the process ends with; documented in `--help`. */
export const EXIT = { ok: 0, failure: 1, usage: 2, refused: 3, unreachable: 4, warnings: 5 } as const;

export const EXIT_HELP = `
Exit codes:
  0  done
  1  failed: an error inside the broker, a job that failed, a doctor's finding, a bad row of an import; a question that
     was not answered with yes; a name that several sandboxes match
  2  wrong usage, or configuration that cannot be used
  3  refused by the broker, such as no free sandbox (409), a bad token (401), an unknown id (404) or a key whose lease is over
  4  the broker or the store does not answer, or was too busy for too long
  5  doctor: nothing wrong, but something to look at`;

/** An end that the command has a sentence for. */
export class CliError extends Error {
  readonly exitCode: number;

  constructor(message: string, { exitCode, cause }: { exitCode: number; cause?: unknown }) {
    super(message, { cause });
    this.name = 'CliError';
    this.exitCode = exitCode;
  }
}

export const usageError = (message: string): CliError => new CliError(message, { exitCode: EXIT.usage });

/** They may come without a status of their own. */
const REFUSALS: readonly BrokerErrorCode[] = ['LEASE_OVER', 'NO_SANDBOXES_AVAILABLE'];

/** The exit code that a failed call comes to. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof CliError) return error.exitCode;
  if (!(error instanceof BrokerError)) return EXIT.failure;
  if (REFUSALS.includes(error.code)) return EXIT.refused;
  const { status } = error;
  if (status === undefined || status === 429 || [502, 503, 504].includes(status)) return EXIT.unreachable;
  return status >= 400 && status < 500 ? EXIT.refused : EXIT.failure;
}
