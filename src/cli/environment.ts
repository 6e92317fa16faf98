import { readFileSync } from 'node:fs';
import { type Caller, createCaller } from '../client/call.ts';
import type { Environment } from '../config/index.ts';
import { CliError, EXIT, usageError } from './exit-codes.ts';

/** What every command takes. */
export interface GlobalOptions {
  url?: string;
  tokenFile?: string;
  timeout: number;
  json?: boolean;
  wide?: boolean;
}

export type Role = 'track' | 'admin';

const TOKENS = {
  track: { variable: 'BROKER_API_TOKEN', forDevelopment: 'dev-track-token' },
  admin: { variable: 'BROKER_ADMIN_TOKEN', forDevelopment: 'dev-admin-token' },
} as const;

const LOOPBACK = /^https?:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d+)?(\/|$)/;

/** The process's environment. Here it is read for the command line, and nowhere else in it. */
export const environment = (): Environment => process.env;

/** Columns of the terminal that standard output is; undefined where it is none, as in a pipe or a file. */
export function terminalWidth(env = environment()): number | undefined {
  if (!process.stdout.isTTY) return undefined;
  // Some terminals do not tell.
  return process.stdout.columns || Number(env['COLUMNS']) || undefined;
}

/** Sets a variable for the server that is about to start in this process. */
export function setVariable(name: string, value: string | undefined): void {
  if (value !== undefined) process.env[name] = value;
}

/** The broker's address: `--url`, else `BROKER_URL`, else where `npm start` listens. */
export function brokerUrl({ url }: Pick<GlobalOptions, 'url'>, env = environment()): string {
  return url ?? (env['BROKER_URL']?.trim() || `http://127.0.0.1:${env['PORT']?.trim() || 8080}`);
}

/**
 * The token for a role: from `--token-file`, else from the environment, the first where several are given; else, for a
 * broker on this machine, the development token. Never from the command line, which every user of a machine can read.
 */
export function tokenFor(role: Role, options: GlobalOptions, env = environment()): string {
  const { variable, forDevelopment } = TOKENS[role];
  const given = options.tokenFile === undefined ? env[variable] : readToken(options.tokenFile);
  const token = given?.split(',')[0]?.trim();
  if (token) return token;
  if (env['NODE_ENV'] !== 'production' && LOOPBACK.test(brokerUrl(options, env))) return forDevelopment;
  throw usageError(
    `${variable} is not set: export it, or name a file that holds the token with --token-file.`,
  );
}

function readToken(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    throw new CliError(`The token file ${file} cannot be read.`, { exitCode: EXIT.usage, cause: error });
  }
}

/** A caller of the broker's API in one of the two roles. */
export function callerFor(role: Role, options: GlobalOptions, more: { retries?: number } = {}): Caller {
  try {
    return createCaller({
      url: brokerUrl(options),
      token: tokenFor(role, options),
      deadlineMs: options.timeout * 1000,
      ...more,
    });
  } catch (error) {
    if (error instanceof RangeError) throw usageError(`The broker's ${error.message}.`);
    throw error;
  }
}
