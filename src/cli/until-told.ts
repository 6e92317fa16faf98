/** A signal that fires at Ctrl-C (or SIGTERM): the command then ends by itself, with 0. */
export function untilTold(): AbortSignal {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => stop.abort());
  return stop.signal;
}
