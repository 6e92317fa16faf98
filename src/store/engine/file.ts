import { randomUUID } from 'node:crypto';
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { access, constants, mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { EngineError } from './error.ts';
import { engineAnswers } from './process.ts';

const PROBE_TIMEOUT_MS = 2_000;
/** Longer than a broker that lost its claim needs to end its engine. */
const DISPLACED_GOES_WITHIN_MS = 3_000;
const DISPLACED_POLL_MS = 50;

/**
 * Makes the folder of a database file.
 *
 * @throws EngineError `ENGINE_FILE_UNUSABLE`, naming the path, when the file cannot be a database
 */
export async function prepareFile(file: string): Promise<void> {
  try {
    await makeFolder(dirname(file));
    await access(dirname(file), constants.W_OK);
    const existing = await stat(file).catch(ignoreMissing);
    if (existing !== undefined && !existing.isFile()) {
      throw new Error(existing.isDirectory() ? 'it is a folder' : 'it is not a regular file');
    }
    if (existing !== undefined) await access(file, constants.R_OK | constants.W_OK);
  } catch (error) {
    throw unusable(file, error);
  }
}

/** Not `mkdir`'s own `recursive`: Node never comes back from it where a folder is there but takes no folders (/proc). */
async function makeFolder(folder: string): Promise<void> {
  if (await stat(folder).catch(ignoreMissing)) return;
  if (dirname(folder) !== folder) await makeFolder(dirname(folder));
  await mkdir(folder).catch((error: NodeJS.ErrnoException) => {
    // Another broker on the same folder was quicker.
    if (error.code !== 'EEXIST') throw error;
  });
}

/** The right to run an engine on one file, against other brokers on this machine. */
export interface EngineLock {
  /** Before the engine starts. @throws EngineError `ENGINE_FILE_IN_USE` or `ENGINE_FILE_UNUSABLE` */
  claim(endpoint: string): Promise<void>;
  /** After the engine answers. @throws EngineError `ENGINE_FILE_IN_USE` when another broker claimed meanwhile */
  confirm(endpoint: string): Promise<void>;
  /** Gives up the claim if it is still this endpoint's. */
  release(endpoint: string): void;
}

/**
 * A lock file beside the database that names the endpoint of the engine on it. It counts only while an engine answers
 * there, so what a killed broker leaves behind blocks nobody.
 *
 *     claim      another's engine answers: refuse; else write our endpoint over what is there
 *     (start)    our engine does not answer yet: another broker may claim over us
 *     confirm    the last claim wins: whoever finds another's endpoint gives way. Who claimed over an endpoint waits
 *                for that engine to go; if it stays, it had been confirmed in the moment of our claim, and we give way.
 */
export function engineLock(file: string): EngineLock {
  const lockFile = `${file}.lock`;
  let displaced: string | undefined;

  const read = (): string | undefined => {
    try {
      return parseEndpoint(readFileSync(lockFile, 'utf8'));
    } catch {
      // Not there, or not ours to read: whether it can be written shows in a moment.
      return undefined;
    }
  };
  const write = (endpoint: string) => {
    const draft = `${lockFile}.${randomUUID()}`;
    try {
      writeFileSync(draft, JSON.stringify({ endpoint }));
      renameSync(draft, lockFile);
    } catch (error) {
      rmSync(draft, { force: true });
      throw unusable(file, error);
    }
  };
  const inUse = (endpoint: string) =>
    new EngineError(
      'ENGINE_FILE_IN_USE',
      `${file} is in use by another broker's engine at ${endpoint}: ` +
        `set SANDBOX_DB_URL=${endpoint} to share it, or another file for a pool of its own`,
    );

  return {
    async claim(endpoint) {
      for (;;) {
        const holder = read();
        if (holder !== undefined && holder !== endpoint && (await engineAnswers(holder, PROBE_TIMEOUT_MS))) {
          throw inUse(holder);
        }
        // No `await` from here on: between this look and the write, nobody in this process gets in.
        if (read() !== holder) continue;
        displaced = holder === endpoint ? undefined : holder;
        write(endpoint);
        return;
      }
    },
    async confirm(endpoint) {
      const holder = read();
      if (holder === undefined) write(endpoint);
      else if (holder !== endpoint) throw inUse(holder);
      const giveWayAtMs = performance.now() + DISPLACED_GOES_WITHIN_MS;
      while (displaced !== undefined && (await engineAnswers(displaced, PROBE_TIMEOUT_MS))) {
        if (performance.now() > giveWayAtMs) {
          write(displaced);
          throw inUse(displaced);
        }
        await delay(DISPLACED_POLL_MS);
      }
    },
    release(endpoint) {
      if (read() === endpoint) rmSync(lockFile, { force: true });
    },
  };
}

/** Only what an engine of ours writes: a lock file must not send requests elsewhere. */
function parseEndpoint(text: string): string | undefined {
  return /^\{"endpoint":"(http:\/\/127\.0\.0\.1:\d{1,5})"\}$/.exec(text)?.[1];
}

function unusable(file: string, cause: unknown): EngineError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new EngineError(
    'ENGINE_FILE_UNUSABLE',
    `the database file ${file} cannot be used (${reason}): point SANDBOX_DB_URL to a file in a writable folder`,
    { cause },
  );
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
