import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { onTestFinished } from 'vitest';
import { until } from '../support/until.ts';

export const PROJECT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = fileURLToPath(new URL('../../src/cli/main.ts', import.meta.url));

/** How a command ended, and what it said. */
export interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

export interface CliOptions {
  /** All of its environment but the path. */
  env?: Record<string, string>;
  stdin?: string;
}

/** Which lets a program begin sooner. */
const { NODE_COMPILE_CACHE = '' } = process.env;

/** Runs a program with nothing in its environment but what is given, and where compiled modules are kept. */
export function run(file: string, args: string[], { env = {}, stdin = '' }: CliOptions = {}): Promise<Ran> {
  return new Promise((resolve) => {
    const options = { env: { PATH: '/usr/bin:/bin', NODE_COMPILE_CACHE, ...env }, timeout: 60_000 };
    const child = execFile(file, args, options, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
    });
    // It may end without having read a word.
    child.stdin?.on('error', () => undefined).end(stdin);
  });
}

/** Runs the command line. */
export const cli = (args: string[], options: CliOptions = {}): Promise<Ran> =>
  run(process.execPath, [MAIN, ...args], options);

/** {@link cli} with `--json`; its result, and its exit code. */
export async function cliJson<Result = Record<string, unknown>>(
  args: string[],
  options: CliOptions = {},
): Promise<{ code: number; result: Result; stderr: string }> {
  const { code, stdout, stderr } = await cli([...args, '--json'], options);
  if (stdout === '') throw new Error(`${args.join(' ')} said nothing: ${code} ${stderr}`);
  return { code, result: JSON.parse(stdout) as Result, stderr };
}

const SCRIPT = '/usr/bin/script';
export const hasTerminals = existsSync(SCRIPT);

/** {@link cli} on a terminal of 80 columns of its own, on which `stdin` is typed: what it shows, and its exit code. */
export async function onTerminal(
  args: string[],
  { env = {}, stdin }: CliOptions,
): Promise<{ code: number; lines: string[] }> {
  const command = `stty columns 80; ${process.execPath} ${MAIN} ${args.join(' ')}`;
  const options = { env: { TERM: 'xterm', ...env }, ...(stdin !== undefined && { stdin }) };
  const { code, stdout } = await run(SCRIPT, ['-qec', command, '/dev/null'], options);
  return { code, lines: stdout.trimEnd().split('\r\n') };
}

/** A command that goes on until it is told to end; it ends with the test at the latest. */
export interface RunningCli {
  /** Waits until it has said something like this on standard output or error, and gives that. */
  says(pattern: RegExp): Promise<string>;
  /** Types into it. */
  type(text: string): void;
  signal(name: NodeJS.Signals): void;
  ended: Promise<number | null>;
}

/** Starts the command line; `terminal`: on one of its own, with `script`. */
export function startCli(
  args: string[],
  { env = {}, terminal = false }: { env?: Record<string, string>; terminal?: boolean } = {},
): RunningCli {
  const command = [process.execPath, MAIN, ...args];
  const [file = '', ...rest] = terminal
    ? [SCRIPT, '-qec', `exec ${command.join(' ')}`, '/dev/null']
    : command;
  const child = spawn(file, rest, {
    env: { PATH: '/usr/bin:/bin', TERM: 'xterm', NODE_COMPILE_CACHE, ...env },
  });
  let said = '';
  for (const output of [child.stdout, child.stderr]) {
    output.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
  }
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    says: (pattern) => until(() => pattern.exec(said)?.[0], { what: `${pattern} in ${args.join(' ')}` }),
    type: (text) => void child.stdin.write(text),
    signal: (name) => void child.kill(name),
    ended,
  };
}
