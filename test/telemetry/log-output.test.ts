import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';

const moduleOf = (file: string): string =>
  JSON.stringify(fileURLToPath(new URL(`../../src/telemetry/${file}`, import.meta.url)));

/** A process with a logger on its standard output; it says on its error output what it is told to. */
function run(program: string) {
  const preamble = `
    import { createLogger, flushLogs } from ${moduleOf('logger.ts')};
    import { standardOutput } from ${moduleOf('log-output.ts')};
    let lost = 0;
    const output = standardOutput({
      sync: false,
      onDropped: () => { lost++; },
      onResumed: (dropped) => logger.warn({ action: 'log', dropped }),
    });
    const logger = createLogger({ level: 'info', pretty: false, destination: output });
    const log = (lines) => {
      for (let line = 1; line <= lines; line++) logger.info({ line, padding: 'x'.repeat(100) });
    };`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', `${preamble}${program}`], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  return { child, exited: once(child, 'exit'), stderr: text(child.stderr) };
}

const linesOf = (output: string) =>
  output
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);

test('a process that flushes and dies at once has lost no line', async () => {
  const { child, stderr } = run("log(5000); await flushLogs(logger); process.kill(process.pid, 'SIGKILL');");
  const lines = linesOf(await text(child.stdout));
  expect(lines).toHaveLength(5_000);
  expect(lines.at(-1)).toMatchObject({ line: 5_000 });
  expect(await stderr).toBe('');
});

test('lines that nobody reads are dropped beyond a bound, and told of when they are read again', async () => {
  const { child, exited, stderr } = run(`
    log(100_000);
    process.stdin.once('data', async () => {
      await flushLogs(logger);
      await flushLogs(logger);
      console.error(lost);
      process.exit(0);
    });
    process.stdin.resume();`);
  child.stdin.write('go');
  const lines = linesOf(await text(child.stdout));
  expect(await exited).toEqual([0, null]);
  const lost = Number(await stderr);
  const kept = lines.filter(({ line }) => line !== undefined);
  expect(lost).toBeGreaterThan(10_000);
  expect(kept.length + lost).toBe(100_000);
  expect(lines.at(-1)).toMatchObject({ level: 'warn', action: 'log', dropped: lost });
});

test('a process whose output nobody reads ends all the same', async () => {
  const { exited, stderr } = run(`
    process.prependOnceListener('exit', output.endNow);
    log(100_000);
    await flushLogs(logger);
    process.exit(0);`);
  expect(await exited).toEqual([0, null]);
  expect(await stderr).toBe('');
});
