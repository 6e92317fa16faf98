import { expect, test } from 'vitest';
import type { z } from 'zod';
import type { alertsSchema } from '../../src/api/alerts.ts';
import type { breakersSchema } from '../../src/api/breakers.ts';
import type { jobListSchema } from '../../src/api/jobs.ts';
import type { leaseSchema } from '../../src/api/leases.ts';
import type { lineSchema } from '../../src/api/line.ts';
import type { seriesSchema } from '../../src/api/live.ts';
import type { historySchema, listSchema } from '../../src/api/sandboxes.ts';
import type { statusSchema } from '../../src/api/status.ts';
import type { Alerts } from '../../src/api/types/alerts.ts';
import type { Breakers } from '../../src/api/types/breakers.ts';
import type { JobList } from '../../src/api/types/jobs.ts';
import type { Lease } from '../../src/api/types/leases.ts';
import type { Line } from '../../src/api/types/line.ts';
import type { PoolHistory } from '../../src/api/types/live.ts';
import type { SandboxList, SandboxWithHistory } from '../../src/api/types/sandboxes.ts';
import type { Status } from '../../src/api/types/status.ts';
import { answerTypes, writtenTypes } from '../support/checks/answer-types.ts';

test('the plain types are those of the schemas: npm run api:types writes them', async () => {
  const [made, written] = [await answerTypes(), writtenTypes()];
  expect([...written.keys()].sort()).toEqual([...made.keys()].sort());
  for (const [file, text] of made) expect(written.get(file), file).toBe(text);
});

/** Does not compile unless each can stand for the other. */
const same = <One extends Other, Other extends Twin, Twin = One>(): true => true;

test('the compiler takes them for the same as what zod makes of the schemas', () => {
  expect([
    same<Alerts, z.output<typeof alertsSchema>>(),
    same<Breakers, z.output<typeof breakersSchema>>(),
    same<JobList, z.output<typeof jobListSchema>>(),
    same<Lease, z.output<typeof leaseSchema>>(),
    same<Line, z.output<typeof lineSchema>>(),
    same<PoolHistory, z.output<typeof seriesSchema>>(),
    same<SandboxList, z.output<typeof listSchema>>(),
    same<SandboxWithHistory, z.output<typeof historySchema>>(),
    same<Status, z.output<typeof statusSchema>>(),
  ]).not.toContain(false);
});
