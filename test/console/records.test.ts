import { expect, it } from 'vitest';
import { JOB_STATUSES, JOB_TYPES, POOL_STATUSES } from '../../src/console/page/broker/records.ts';
import * as job from '../../src/domain/job.ts';
import * as sandbox from '../../src/domain/sandbox.ts';

it('knows every status and type that the broker knows, in its order', () => {
  expect(POOL_STATUSES).toEqual(sandbox.POOL_STATUSES);
  expect(JOB_STATUSES).toEqual(job.JOB_STATUSES);
  expect(JOB_TYPES).toEqual(job.JOB_TYPES);
});
