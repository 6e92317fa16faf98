import { execFileSync } from 'node:child_process';

export interface RunningProcess {
  pid: number;
  commandLine: string;
}

/** The processes on this machine whose command line contains the text, shells around them included. */
export function processesWith(text: string): RunningProcess[] {
  const lines = execFileSync('ps', ['-ww', '-eo', 'pid=,stat=,args='], { encoding: 'utf8' }).split('\n');
  const processes: RunningProcess[] = [];
  for (const line of lines) {
    const [, pid, state, commandLine] = /^ *(\d+) (\S+) +(.*)$/.exec(line) ?? [];
    const isZombie = state?.startsWith('Z');
    if (!isZombie && commandLine?.includes(text)) processes.push({ pid: Number(pid), commandLine });
  }
  return processes;
}

/** The engines among them, without the shells around them. */
export function enginesWith(text: string): RunningProcess[] {
  return processesWith(text).filter(
    ({ commandLine }) =>
      /\/dynoxide serve |DynamoDBLocal\.jar /.test(commandLine) &&
      !commandLine.includes('sandbox-broker-engine'),
  );
}
