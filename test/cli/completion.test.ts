import { existsSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { cli, run } from './run-cli.ts';

const script = (await cli(['completion', 'bash'])).stdout;

/** What real bash offers behind these words; the last one is being typed. */
async function offered(...words: string[]): Promise<string[]> {
  const all = ['sandbox-broker', ...words];
  const program = `
    ${script}
    complete -p sandbox-broker >/dev/null || exit 1
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
    _sandbox_broker "$1" "\${COMP_WORDS[COMP_CWORD]}" "\${COMP_WORDS[COMP_CWORD-1]}"
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { code, stdout, stderr } = await run('bash', ['--norc', '-c', program, 'bash', ...all]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.trim().split('\n');
}

test('bash completes commands, their options, and the values of options', async () => {
  expect(await offered('st')).toEqual(['stats', 'status']);
  expect(await offered('')).toEqual(expect.arrayContaining(['allocate', 'doctor', 'table', '--json']));
  expect(await offered('table', '')).toEqual(expect.arrayContaining(['create', 'describe']));
  expect(await offered('--json', 'list', '--st')).toEqual(['--status']);
  expect(await offered('list', '--status', 'al')).toEqual(['allocated']);
  expect(await offered('release', 'sbx-1', '--as')).toEqual(['--as-admin']);
  expect(await offered('completion', '')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']));
  expect(await offered('import', 'package.js')).toEqual(['package.json']);
});

test('zsh is told the same words', async () => {
  const { stdout } = await cli(['completion', 'zsh']);
  expect(stdout.split('\n')[0]).toBe('#compdef sandbox-broker');
  const wordsOf = (text: string, path: string) =>
    new RegExp(`^ +'${path}'\\) (?:words='|compadd -- )([^';]+)`, 'm').exec(text)?.[1]?.trim();
  for (const path of ['', 'list', 'table', 'table create', 'completion']) {
    expect(wordsOf(stdout, path), path).toBe(wordsOf(script, path));
    expect(wordsOf(script, path)).toContain('--json');
  }
});

const FISH = '/usr/bin/fish';
const fishScript = (await cli(['completion', 'fish'])).stdout;

test('fish is told the same words', () => {
  const wordsOf = (path: string) =>
    new RegExp(`^ +case '${path}'; printf '%s\\\\n' (.+)$`, 'm').exec(fishScript)?.[1];
  for (const path of ['', 'list', 'table', 'table create', 'completion']) {
    expect(wordsOf(path), path).toBe(new RegExp(`^ +'${path}'\\) words='([^']+)`, 'm').exec(script)?.[1]);
  }
});

describe.skipIf(!existsSync(FISH))(`fish${existsSync(FISH) ? '' : ` (skipped: no ${FISH})`}`, () => {
  test('completes commands, their options, and the values of options', async () => {
    const offeredBy = async (line: string) => {
      const { stdout } = await run(FISH, ['--no-config', '-c', `${fishScript}\ncomplete -C "${line}"`]);
      return stdout.trim().split('\n');
    };
    expect(await offeredBy('sandbox-broker st')).toEqual(['stats', 'status']);
    expect(await offeredBy('sandbox-broker --json list --st')).toEqual(['--status']);
    expect(await offeredBy('sandbox-broker list --status al')).toEqual(['allocated']);
    expect(await offeredBy('sandbox-broker table ')).toEqual(expect.arrayContaining(['create', 'describe']));
  });
});
