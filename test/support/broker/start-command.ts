import { readFileSync } from 'node:fs';

/** How a broker is started: variables, and what Node is given. */
export interface StartCommand {
  env: Record<string, string>;
  /** Flags of Node, and the broker's main file relative to the project. */
  args: string[];
}

/** What `npm start` runs, from package.json: `NAME=value … node --flag … file`. Throws when it is written another way. */
export function startCommand(): StartCommand {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8');
  const { scripts } = JSON.parse(text) as { scripts: { start: string } };
  const words = scripts.start.split(' ');
  const node = words.indexOf('node');
  if (node < 0) throw new Error(`npm start does not call node: ${scripts.start}`);
  const pairs = words.slice(0, node).map((word): [string, string] => {
    const at = word.indexOf('=');
    return [word.slice(0, at), word.slice(at + 1)];
  });
  return { env: Object.fromEntries(pairs), args: words.slice(node + 1) };
}
