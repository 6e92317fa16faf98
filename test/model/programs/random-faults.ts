import fc from 'fast-check';
import { type Fault, type PlannedFault, REFUSALS } from '../faults.ts';

/** A call that succeeds at the first try after so many: less than a client's patience, or more. */
const times = fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, fc.integer({ min: 2, max: 6 }));
const lateMs = fc.constantFrom(20, 400, 4_000, 12_000, 40_000);
const frozenMs = fc.constantFrom(3_000, 32_000, 100_000, 600_000);
const once = fc.constant(1 as const);

const fault: fc.Arbitrary<Fault> = fc.oneof(
  fc.record({ kind: fc.constant('refused' as const), how: fc.constantFrom(...REFUSALS), times }),
  fc.record({ kind: fc.constant('lost' as const), times }),
  fc.record({ kind: fc.constantFrom('late' as const, 'late_answer' as const), ms: lateMs, times }),
  fc.record({ kind: fc.constant('twice' as const), ms: lateMs, times }),
  fc.record({ kind: fc.constant('death' as const), arrives: fc.boolean(), times: once }),
  fc.record({
    kind: fc.constant('frozen' as const),
    ms: frozenMs,
    holdsCalls: fc.boolean(),
    times: once,
  }),
);

/** The provider is called much less often than the store, and would have next to no faults of its own. */
export const plannedFault: fc.Arbitrary<PlannedFault> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ of: fc.constant('any' as const), after: fc.nat({ max: 25 }), fault }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      of: fc.constantFrom('provider' as const, 'effects' as const),
      after: fc.nat({ max: 3 }),
      fault,
    }),
  },
);
