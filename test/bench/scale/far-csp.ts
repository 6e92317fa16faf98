import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Word } from './csp-process.ts';

const PROCESS = fileURLToPath(new URL('csp-process.ts', import.meta.url));

/** A CSP far away, as far as its work is not this process's. */
export interface FarCsp {
  readonly baseUrl: string;
  /** Puts so many accounts more into its inventory. */
  add(accounts: number): Promise<void>;
  stop(): void;
}

export async function startFarCsp(): Promise<FarCsp> {
  const child = fork(PROCESS);
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the CSP ended with ${code}`);
  });
  ended.catch(() => undefined);
  const word = async (): Promise<Word> => {
    const [said] = await Promise.race([once(child, 'message'), ended]);
    return said;
  };
  const first = await word();
  if (!('baseUrl' in first)) throw new Error('the CSP does not say where it is');
  return {
    baseUrl: first.baseUrl,
    async add(accounts) {
      child.send(accounts);
      await word();
    },
    stop: () => void child.kill('SIGKILL'),
  };
}
