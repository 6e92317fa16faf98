import { spawn } from 'node:child_process';
import { request } from 'node:http';
import { constants } from 'node:os';

/** How an engine ended. A signal that ended it is named, as far as it is known. */
export interface EngineExit {
  code: number | null;
  signal: string | null;
}

/** One run of an engine, with the shell around it. */
export interface EngineProcess {
  /** Resolves when nothing of it is left; never rejects. */
  readonly gone: Promise<EngineExit>;
  readonly alive: boolean;
  /** The last of what it wrote to its outputs. */
  output(): string;
  /** SIGTERM, SIGKILL after two seconds; resolves when nothing of it is left. */
  terminate(): Promise<void>;
}

/**
 * The engine must die with the broker, also when that is killed with no chance to say so. The one thing the kernel
 * then does for us is to close the broker's end of this shell's stdin. So a subshell waits in `read` for that end of
 * file and kills the engine. It is a builtin and not `cat`, so that killing the subshell leaves nothing behind; it
 * reads a copy of stdin, because a background job's own stdin is /dev/null.
 *
 * SIGTERM goes to the whole process group: the shell and the subshell survive it to see the engine's end. A trapped
 * signal interrupts `wait`, hence the loop.
 *
 * The broker's environment holds its tokens, which are none of the engine's business.
 */
const WRAPPER = `
exec 3<&0
trap : TERM
env -i PATH="$PATH" \${HOME+"HOME=$HOME"} \${TMPDIR+"TMPDIR=$TMPDIR"} \${JAVA_HOME+"JAVA_HOME=$JAVA_HOME"} \\
  "$@" </dev/null 3<&- & engine=$!
( trap '' TERM; read -r _ <&3; kill -9 $engine ) >/dev/null 2>&1 & watcher=$!
exec 3<&- </dev/null
wait $engine; code=$?
while kill -0 $engine 2>/dev/null; do wait $engine; code=$?; done
kill -9 $watcher 2>/dev/null
exit $code
`;

const KILL_AFTER_MS = 2_000;
const KEPT_OUTPUT_CHARS = 4_000;
/** A shell reports a command ended by signal n as 128 + n. */
const SIGNAL_CODE_BASE = 128;

/** Starts an engine that cannot outlive this process. Its group is its own, so that Ctrl-C does not reach it. */
export function spawnEngine(command: string, args: readonly string[]): EngineProcess {
  const child = spawn('/bin/sh', ['-c', WRAPPER, 'sandbox-broker-engine', command, ...args], {
    detached: true,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (chunk: string) => {
    output = (output + chunk).slice(-KEPT_OUTPUT_CHARS);
  };
  child.stdout.setEncoding('utf8').on('data', keep);
  child.stderr.setEncoding('utf8').on('data', keep);
  // Writing never happens, but the pipe breaks when the engine ends.
  child.stdin.on('error', () => undefined);

  let alive = true;
  const gone = new Promise<EngineExit>((resolve) => {
    // `close` and not `exit`: it comes when nobody holds the engine's outputs any more, the engine included. Should the
    // shell alone have been killed, then Node closes its stdin, and the subshell ends the engine.
    child.once('close', (code, signal) => {
      alive = false;
      resolve(describeExit(code, signal));
    });
    child.once('error', (error) => {
      if (child.pid !== undefined) return;
      keep(error.message);
      alive = false;
      resolve({ code: null, signal: null });
    });
  });

  const signalGroup = (signal: NodeJS.Signals) => {
    if (!alive || child.pid === undefined) return;
    try {
      process.kill(-child.pid, signal);
    } catch {
      // Ended in this very moment.
    }
  };

  return {
    gone,
    get alive() {
      return alive;
    },
    output: () => output,
    async terminate() {
      signalGroup('SIGTERM');
      const killTimer = setTimeout(() => signalGroup('SIGKILL'), KILL_AFTER_MS);
      await gone;
      clearTimeout(killTimer);
    },
  };
}

function describeExit(code: number | null, signal: NodeJS.Signals | null): EngineExit {
  if (code === null || code <= SIGNAL_CODE_BASE) return { code, signal };
  const name = Object.entries(constants.signals).find(
    ([, number]) => number === code - SIGNAL_CODE_BASE,
  )?.[0];
  return name === undefined ? { code, signal } : { code: null, signal: name };
}

/** Whether a DynamoDB answers at the endpoint: it lists its tables, within the time. Never rejects. */
export function engineAnswers(endpoint: string, timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request(endpoint, {
      method: 'POST',
      agent: false,
      signal: AbortSignal.timeout(timeoutMs),
      headers: LIST_TABLES_HEADERS,
    });
    call.on('error', () => resolve(false));
    call.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve(response.statusCode === 200 && body.includes('"TableNames"')));
      response.on('error', () => resolve(false));
    });
    call.end('{"Limit":1}');
  });
}

/** Engines want a signature's form and check nothing of it. */
const LIST_TABLES_HEADERS = {
  'content-type': 'application/x-amz-json-1.0',
  'x-amz-target': 'DynamoDB_20120810.ListTables',
  'x-amz-date': '20260101T000000Z',
  authorization:
    'AWS4-HMAC-SHA256 Credential=probe/20260101/us-east-1/dynamodb/aws4_request, ' +
    'SignedHeaders=host;x-amz-date;x-amz-target, Signature=0000',
};
