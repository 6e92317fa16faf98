import { randomUUID } from 'node:crypto';
import { expect, onTestFinished, test } from 'vitest';
import { eventOf } from '../../../src/domain/event.ts';
import { create } from '../../../src/domain/transitions.ts';
import { createHandOvers } from '../../../src/store/line/hand-over.ts';
import { createLineStore } from '../../../src/store/line/line.ts';
import { context, startCore } from '../../support/broker/core.ts';
import { CLOUD_LATENCY, startDynamoProxy } from '../../support/dynamo-proxy.ts';
import { describeOnFastEngine } from '../../support/store/engines.ts';

const SANDBOXES = 16;

describeOnFastEngine('becoming free beside the line', ({ endpoint }) => {
  test('everybody comes to write the one record, however many want to at the same moment', async () => {
    const proxy = await startDynamoProxy(endpoint);
    onTestFinished(() => proxy.close());
    const core = await startCore(proxy.endpoint, { buckets: 2 });
    onTestFinished(() => core.close());
    const { state } = await createLineStore(core.client, () => undefined).page({});
    const handOvers = createHandOvers(core.client, 2, randomUUID);
    proxy.setLatency(CLOUD_LATENCY);
    const outcomes = await Promise.all(
      Array.from({ length: SANDBOXES }, (_, index) => {
        const seen = undefined;
        const next = create(`s${index}`, { name: `lab-${index}`, externalId: 'x', metadata: {} }, 1);
        return handOvers.free({ seen, next, event: eventOf(seen, next, 'sync_created', context()) }, state);
      }),
    );
    expect(outcomes).toEqual(Array(SANDBOXES).fill('written'));
    expect(proxy.counts.conflicts).toBeGreaterThan(SANDBOXES);
  });
});
