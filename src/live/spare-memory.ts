import { Script } from 'node:vm';

/** More often than V8 forgets a sign of life: it has after some 110 s. */
export const SIGN_INTERVAL_MS = 10_000;

/**
 * Lets V8 see that this process rests, now and for more than {@link SIGN_INTERVAL_MS}: it then gives back, in small steps,
 * what garbage has left it with. It looks every 8 s whether little is allocated, on the heap of C++ objects, too; but of
 * that one it takes nothing at all for very much, since its version 13.1, and waits for ever. A script that is compiled
 * is such an object.
 */
export function showRest(): void {
  void new Script('0');
}
