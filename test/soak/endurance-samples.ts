import { readdir, readlink } from 'node:fs/promises';
import { request } from 'undici';
import type { EnduranceSample } from './endurance-judges.ts';

const MIB = 2 ** 20;

/** What the broker says of its process, its own errors included. Throws when a figure is missing. */
export function readProcess(metrics: string): Omit<EnduranceSample, 'atMs' | 'sockets' | 'cycles'> {
  const gauge = (name: string): number => {
    const value = new RegExp(`^${name} (\\S+)$`, 'm').exec(metrics)?.[1];
    if (value === undefined) throw new Error(`/metrics has no ${name}`);
    return Number(value);
  };
  return {
    residentMiB: gauge('process_resident_memory_bytes') / MIB,
    heapUsedMiB: gauge('nodejs_heap_size_used_bytes') / MIB,
    stallMs: gauge('nodejs_eventloop_lag_max_seconds') * 1_000,
    handles: gauge('nodejs_active_handles_total'),
    errors: countErrors(metrics),
  };
}

/** Every outcome that is an error, and every answer that is a 5xx. */
function countErrors(metrics: string): number {
  let errors = 0;
  for (const [, name = '', labels = '', value] of metrics.matchAll(/^(\w+_total)\{(.*)\} (\S+)$/gm)) {
    const isFailure = /\boutcome="error"/.test(labels);
    const isRefusal = name === 'http_requests_total' && /\bstatus="5\d\d"/.test(labels);
    if (isFailure || isRefusal) errors += Number(value);
  }
  return errors;
}

/** The open sockets of a process on this machine, where the operating system shows them; else 0. */
async function countSockets(pid: number): Promise<number> {
  const folder = `/proc/${pid}/fd`;
  const files = await readdir(folder).catch(() => []);
  const targets = await Promise.all(files.map((file) => readlink(`${folder}/${file}`).catch(() => '')));
  return targets.filter((target) => target.startsWith('socket:')).length;
}

/** What a broker's process is like now. */
export async function takeSample(broker: {
  url: string;
  pid: number;
}): Promise<Omit<EnduranceSample, 'atMs' | 'cycles'>> {
  const { body } = await request(`${broker.url}/metrics`);
  return { ...readProcess(await body.text()), sockets: await countSockets(broker.pid) };
}
