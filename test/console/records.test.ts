import { expect, it } from 'vitest';
import type { z } from 'zod';
import type { alertSchema } from '../../src/api/alerts.ts';
import type { jobSchema } from '../../src/api/jobs.ts';
import type { lineNews } from '../../src/api/line.ts';
import type { seriesSchema, sessionSchema } from '../../src/api/live.ts';
import type { historySchema, listSchema, recordSchema } from '../../src/api/sandboxes.ts';
import type { statusSchema } from '../../src/api/status.ts';
import type * as page from '../../src/console/page/broker/records.ts';
import { POOL_STATUSES } from '../../src/console/page/broker/records.ts';
import { POOL_STATUSES as BROKERS } from '../../src/domain/sandbox.ts';

/** Does not compile where the broker's answer is not what the page takes it for. */
const answers = <Taken, _Given extends Taken>(): true => true;

it('takes the broker’s answers for what they are', () => {
  expect([
    answers<page.SandboxRecord, z.output<typeof recordSchema>>(),
    answers<page.SandboxWithHistory, z.output<typeof historySchema>>(),
    answers<page.SandboxPage, z.output<typeof listSchema>>(),
    answers<page.AlertRecord, z.output<typeof alertSchema>>(),
    answers<page.StatusRecord, z.output<typeof statusSchema>>(),
    answers<page.JobRecord, z.output<typeof jobSchema>>(),
    answers<page.HistoryRecord, z.output<typeof seriesSchema>>(),
    answers<page.LineRecord, ReturnType<typeof lineNews>['data']>(),
    answers<page.SessionRecord, z.output<typeof sessionSchema>>(),
  ]).not.toContain(false);
  expect(POOL_STATUSES).toEqual(BROKERS);
});
