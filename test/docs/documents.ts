import { readdirSync, readFileSync } from 'node:fs';

const ROOT = new URL('../../', import.meta.url);

/** One fenced block of shell commands in a document. */
export interface ShellBlock {
  file: string;
  commands: string;
  /** Why it is not run: what the comment right above it says. */
  notRun: string | undefined;
}

export const readDocument = (file: string): string => readFileSync(new URL(file, ROOT), 'utf8');

/** The READMEs and everything in docs. */
export const DOCUMENTS: readonly string[] = [
  'README.md',
  'packages/client/README.md',
  ...readdirSync(new URL('docs/', ROOT))
    .filter((file) => file.endsWith('.md'))
    .sort()
    .map((file) => `docs/${file}`),
];

const BLOCK = /(?:<!-- not run by the tests: ([^\n]+?) -->\n)?^```(?:sh|bash|shell|console)\n(.*?)^```$/gms;

export const shellBlocksOf = (file: string): ShellBlock[] =>
  [...readDocument(file).matchAll(BLOCK)].map(([, notRun, commands = '']) => ({ file, commands, notRun }));
