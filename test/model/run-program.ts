import { createHash } from 'node:crypto';
import { LINE, TERMS } from '../support/broker/core.ts';
import { checkHistory } from '../support/history/check-history.ts';
import type { Call } from '../support/history/history.ts';
import { readEnd } from '../support/history/read-end.ts';
import { createRecorder } from '../support/history/recorder.ts';
import { type Boundary, createBoundary } from './boundary.ts';
import { createCallers } from './callers.ts';
import { type Cluster, createCluster } from './cluster.ts';
import { createFarSide } from './far-side.ts';
import { createFaultPlan } from './faults.ts';
import type { Bench } from './model-bench.ts';
import type { Program, Step } from './program.ts';
import { MAX_SKEW_MS } from './programs/programs.ts';
import { createReplica, MAX_ATTEMPTS, type Machine } from './replica.ts';
import { createWorld, drain } from './world.ts';
import { createWriteAudit } from './write-audit.ts';

/** What came of a run. */
export interface ProgramResult {
  /** Broken promises; empty: all were kept. */
  findings: string[];
  /** Of all that happened in its order: the same for every run of the same program. */
  fingerprint: string;
  /** Calls to the store. */
  storeCalls: number;
  /** How many calls of callers ended in which way. */
  outcomes: ReadonlyMap<string, number>;
}

const STARTS_AT_MS = Date.UTC(2030, 0, 1, 9);
const TERM_MS = (TERMS.leaseSeconds + TERMS.bufferSeconds) * 1_000;
/** Retries of deletions are an hour apart at the most. */
const ROUND_MS = 3_700_000;
const MAX_ROUNDS = 8;

/** Runs a program on a table of its own, and judges what came of it. */
export async function runProgram(bench: Bench, program: Program): Promise<ProgramResult> {
  const table = await bench.createTable();
  let cluster: Cluster | undefined;
  try {
    const findings: string[] = [];
    const onFinding = (message: string) => void findings.push(message);
    const trace = createHash('sha256');
    const world = createWorld(program.schedule, STARTS_AT_MS);
    const note = (line: string) => {
      trace.update(`${world.nowMs()} ${line}\n`);
      bench.onTrace?.(`${world.nowMs() - STARTS_AT_MS} ${line}`);
    };
    const audit = createWriteAudit(onFinding);
    const plan = createFaultPlan(program.faults, world.nowMs);
    const boundary: Boundary = createBoundary(world, plan, (dead) => cluster?.replace(dead));
    const machines = program.skewsMs.map((skewMs): Machine => ({ skewMs, jumpMs: 0 }));
    /** Deletes whose broker may not have written down what it was told: its clock was off. */
    const untoldAtMs: number[] = [];
    const farSide = createFarSide(world, boundary, {
      deletes: program.deletes,
      async onDelete(sandboxId) {
        note(`the provider deletes ${sandboxId}`);
        if (machines.some(({ jumpMs }) => jumpMs !== 0)) untoldAtMs.push(world.nowMs());
        audit.deletes(sandboxId, await bench.recordOf(table, sandboxId));
      },
    });
    let storeCalls = 0;
    const running = createCluster({
      world,
      note,
      onFinding,
      createReplica: (slot, process) =>
        createReplica({
          world,
          process,
          boundary,
          farSide,
          table,
          machine: machines[slot] ?? { skewMs: 0, jumpMs: 0 },
          cooldownMs: program.cooldownSeconds * 1_000,
          onFinding,
          async send(command) {
            storeCalls++;
            note(`${process.name} ${command.constructor.name}`);
            const answer = await bench.send(command);
            audit.committed(command.input);
            return answer;
          },
        }),
    });
    cluster = running;
    let ids = 0;
    const recorder = createRecorder({ now: world.nowMs, newId: () => `call-${++ids}` });
    const callers = createCallers(running, farSide, recorder, note);
    const take = (step: Step) => {
      if (step.do === 'set_clock') untoldAtMs.push(world.nowMs());
      callers.take(step);
    };
    const done = async (step: Step) => {
      take(step);
      await running.rest();
    };

    for (const name of program.pool) farSide.add(name);
    for (const slot of program.skewsMs.keys()) running.launch(slot);
    await done({ waits: true, do: 'sync', on: 0, force: false });
    await running.pass(60_000);
    for (const on of running.replicas.keys()) await done({ waits: true, do: 'refresh', on });

    plan.begin();
    for (const step of program.steps) {
      if (step.waits) {
        await running.rest();
        take(step);
        await drain();
      } else {
        let isTaken = false;
        const alternative = () => {
          isTaken = true;
          take(step);
        };
        while (!isTaken) await world.step({ alternative });
      }
      if (step.do === 'pass') await running.pass(step.seconds * 1_000);
    }
    plan.end();
    await running.settle();
    for (const machine of machines) machine.jumpMs = 0;
    await judge([]);
    if (findings.length === 0) {
      await cleanHouse();
      await judge([...farSide.inventory.keys()]);
    }
    return { findings, fingerprint: trace.digest('hex'), storeCalls, outcomes: callers.outcomes };

    async function judge(expectedIds: readonly string[]): Promise<void> {
      const violations = checkHistory({
        calls: judgeable(recorder.calls, program),
        ...(await readEnd({ table, raw: bench.raw })),
        asOfMs: world.nowMs(),
        termMs: TERM_MS,
        bufferMs: TERMS.bufferSeconds * 1_000,
        maxLeaseMs: TERMS.maxLeaseSeconds * 1_000,
        cooldownMs: program.cooldownSeconds * 1_000,
        expectedIds,
        deletes: farSide.deletes,
        listings: farSide.listings,
        clockSkewMs: MAX_SKEW_MS,
        interruptionsMs: [...plan.struckAtMs, ...untoldAtMs],
        patienceMs: LINE.patienceSeconds * 1_000,
        areRenamed: program.steps.some(({ do: verb }) => verb === 'rename'),
      });
      for (const { rule, message } of violations) onFinding(`${rule}: ${message}`);
    }

    /** Only what was refused itself, over and over, may wait for an operator; an outage is nobody's fault. */
    function judgeParked(sandboxId: string): void {
      const refused = farSide.refusalsOf(sandboxId);
      // One that begins while others go through looks like the sandbox's own fault, once.
      if (refused + farSide.outages >= MAX_ATTEMPTS) return;
      onFinding(`parked_unrefused: ${sandboxId} waits for an operator, and was refused ${refused} times`);
    }

    /** What is left to do is done by the loops alone, and by an operator where a deletion was parked. */
    async function cleanHouse(): Promise<void> {
      let unsettled: string[] = [];
      for (let on = 0; on < MAX_ROUNDS; on++) {
        await running.pass(on === 0 ? longestTermMs(program) + 2 * MAX_SKEW_MS + 1_000 : ROUND_MS);
        for (const sandboxId of await bench.parked(table)) {
          judgeParked(sandboxId);
          const sandbox = Number(sandboxId.slice(1)) - 1;
          await done({ waits: true, do: 'retry_deletion', on, sandbox });
        }
        for (const sandboxId of await bench.quarantined(table)) {
          await done({ waits: true, do: 'restore', on, sandbox: Number(sandboxId.slice(1)) - 1 });
        }
        await done({ waits: true, do: 'tend_line', on });
        await done({ waits: true, do: 'expire', on });
        await done({ waits: true, do: 'cleanup', on });
        await done({ waits: true, do: 'sync', on, force: true });
        unsettled = await bench.unsettled(table, farSide.inventory);
        if (unsettled.length === 0) return;
      }
      for (const each of unsettled) onFinding(`unaccounted: ${each}`);
    }
  } finally {
    cluster?.kill();
    await bench.dropTable(table);
  }
}

/** From the last step on no lease lasts longer, its buffer included. */
function longestTermMs({ steps }: Program): number {
  const asked = steps.map((step) => {
    if (step.do === 'extend') return Math.min(step.seconds, TERMS.maxLeaseSeconds);
    return 'durationSeconds' in step ? (step.durationSeconds ?? 0) : 0;
  });
  return (Math.max(TERMS.leaseSeconds, ...asked) + TERMS.bufferSeconds) * 1_000;
}

/** Where sandboxes got other names nobody can tell from the end which name a refusal was about. */
function judgeable(calls: readonly Call[], { steps }: Program): Call[] {
  if (!steps.some((step) => step.do === 'rename')) return [...calls];
  return calls.map((call) =>
    call.op === 'allocate' && call.namePrefix !== undefined && call.outcome.type === 'none_free'
      ? { ...call, outcome: { type: 'refused', code: 'NO_SANDBOXES_AVAILABLE' } }
      : call,
  );
}
