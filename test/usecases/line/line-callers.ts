import { randomUUID } from 'node:crypto';
import { eventOf } from '../../../src/domain/event.ts';
import { passOn } from '../../../src/domain/quarantine.ts';
import { createSandboxStore } from '../../../src/store/sandboxes/sandboxes.ts';
import type { AllocateResult } from '../../../src/usecases/leases/allocate-sandbox.ts';
import type { InLine, Wait } from '../../../src/usecases/line/wait-in-line.ts';
import { context, type TestCore } from '../../support/broker/core.ts';

/** Callers of one replica, by the names of their holders. */
export class Line {
  readonly #core: TestCore;

  constructor(core: TestCore) {
    this.#core = core;
  }

  /** Asks without waiting. */
  ask(holder: string, namePrefix?: string): Promise<AllocateResult> {
    return this.#core.useCases.allocateSandbox({ principal: 'track', holder, namePrefix }, context());
  }

  /** Takes what is free; its id. */
  async take(holder: string): Promise<string> {
    return (await this.ask(holder)).lease.sandboxId;
  }

  wait(holder: string, more: Partial<Wait> & { namePrefix?: string } = {}): Promise<AllocateResult | InLine> {
    const { namePrefix, ...wait } = more;
    const gone = new AbortController().signal;
    return this.#core.useCases.allocateInLine(
      { principal: 'track', holder, namePrefix },
      { seconds: 0, priority: 0, gone, ...wait },
      context(),
    );
  }

  /** Takes a place, or keeps it. Throws where it gets a sandbox. */
  async join(holder: string, more: Parameters<Line['wait']>[1] = {}): Promise<InLine> {
    const result = await this.wait(holder, more);
    if ('ticket' in result) return result;
    throw new Error(`${holder} got ${result.lease.sandboxId}`);
  }

  look(holder: string, ticket: string): Promise<unknown> {
    return this.#core.useCases.places.look({ holder, ticket }, context());
  }

  leave(holder: string, ticket: string): Promise<void> {
    return this.#core.useCases.places.leave({ holder, ticket }, context());
  }

  /** Gives a sandbox back, and has it cleaned. */
  async giveBack(holder: string, sandboxId: string): Promise<void> {
    await this.#core.useCases.markForDeletion({ holder, sandboxId }, context());
    await this.#core.work.cleanup(context());
  }
}

/** Frees a sandbox as a replica does that knows of no line: for anybody. */
export async function freeBesideLine(core: TestCore, sandboxId: string): Promise<void> {
  const store = createSandboxStore(core.client, core.reads.buckets, randomUUID);
  const seen = await store.get(sandboxId);
  if (seen?.status !== 'allocated') throw new Error(`${sandboxId} is not leased`);
  const next = passOn(seen, core.clock.nowMs());
  await store.write({ seen, next, event: eventOf(seen, next, 'pass_on', context()) });
}
