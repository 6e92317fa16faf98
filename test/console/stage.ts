import { launchBrokerInside } from '../support/broker/broker-inside.ts';
import { account, type FakeCsp, startFakeCsp, uuidOf } from '../support/provider/fake-csp.ts';
import { until } from '../support/until.ts';

export const ADMIN_TOKEN = 'dev-admin-token';
const TRACK_TOKEN = 'dev-track-token';
const CSP_TOKEN = 'csp-token';

/** A broker over a provider with something to show. */
export interface Stage {
  readonly url: string;
  readonly csp: FakeCsp;
  /** As a track. Gives the sandbox's id. */
  allocate(holder: string, lab: string): Promise<string>;
  /** As a track that wants a sandbox of this name. Gives the status of the answer. */
  tryToAllocate(holder: string, namePrefix: string): Promise<number>;
  /** As a track that waits for a sandbox of this name: takes a place in the line. */
  waitInLine(holder: string, namePrefix: string): Promise<void>;
  /** As a track: gives a sandbox back. */
  mark(sandboxId: string, holder: string): Promise<void>;
  /** As an operator. */
  statusOf(sandboxId: string): Promise<string>;
  /** As an operator. */
  post(path: string): Promise<Response>;
  /** Lets every delete of these sandboxes fail. */
  poison(count: number): void;
  /** As an operator, until the quota of calls is used up. */
  askUntilRefused(): Promise<void>;
  /** Idempotent. */
  stop(): Promise<void>;
}

const number = (of: number): string => String(of).padStart(4, '0');

/** Starts one with `sandboxes` listed, `lab-0001` onwards; `prepare` is done to the provider before. */
export async function setStage(
  sandboxes: number,
  env: Record<string, string> = {},
  prepare: (csp: FakeCsp) => void = () => undefined,
): Promise<Stage> {
  const csp = await startFakeCsp({ token: CSP_TOKEN });
  csp.settings.listedForMs = Number.POSITIVE_INFINITY;
  const accounts = Array.from({ length: sandboxes }, (_, index) =>
    account({ name: `lab-${number(index + 1)}`, csp_id: `sbx-${index + 1}` }),
  );
  for (const each of accounts) csp.add(each);
  prepare(csp);
  const broker = await launchBrokerInside({
    SANDBOX_DB_URL: 'memory:',
    CSP_BASE_URL: csp.baseUrl,
    CSP_API_TOKEN: CSP_TOKEN,
    RETRY_BASE_DELAY_SEC: '0.001',
    RETRY_MAX_DELAY_SEC: '0.002',
    DELETION_RETRY_MAX_ATTEMPTS: '1',
    BREAKER_FAILURES: '100',
    BROKER_VIEWER_TOKEN: 'viewer-token',
    ...env,
  });
  let stopped: Promise<void> | undefined;
  const call = async (path: string, headers: Record<string, string>, method = 'POST') => {
    const response = await fetch(`${broker.url}${path}`, { method, headers });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response;
  };
  const asTrack = (holder: string, lab?: string) => ({
    authorization: `Bearer ${TRACK_TOKEN}`,
    'x-track-id': holder,
    ...(lab !== undefined && { 'x-instruqt-track-id': lab }),
  });
  const asAdmin = { authorization: `Bearer ${ADMIN_TOKEN}` };
  const isListed = async () => {
    const page = await call(`/v1/admin/sandboxes?limit=1&prefix=lab-${number(sandboxes)}`, asAdmin, 'GET');
    // A sync has not ended with its last sandbox.
    return ((await page.json()) as { count: number }).count === 1 && (await fetch(`${broker.url}/readyz`)).ok;
  };
  if (sandboxes > 0) await until(isListed, { timeoutMs: 30_000, what: 'the first sync' });
  return {
    url: broker.url,
    csp,
    async allocate(holder, lab) {
      const answer = await call('/v1/allocate', asTrack(holder, lab));
      return ((await answer.json()) as { sandbox_id: string }).sandbox_id;
    },
    async tryToAllocate(holder, namePrefix) {
      const headers = { ...asTrack(holder), 'x-sandbox-name-prefix': namePrefix };
      const { status, body } = await fetch(`${broker.url}/v1/allocate`, { method: 'POST', headers });
      await body?.cancel();
      return status;
    },
    async waitInLine(holder, namePrefix) {
      const headers = { ...asTrack(holder, 'lesson'), prefer: 'wait=0', 'x-sandbox-name-prefix': namePrefix };
      await call('/v1/allocate', headers);
    },
    async mark(sandboxId, holder) {
      await call(`/v1/sandboxes/${sandboxId}/mark-for-deletion`, asTrack(holder));
    },
    async statusOf(sandboxId) {
      const answer = await call(`/v1/admin/sandboxes/${sandboxId}`, asAdmin, 'GET');
      return ((await answer.json()) as { status: string }).status;
    },
    post: (path) => call(path, asAdmin),
    async askUntilRefused() {
      for (let asked = 0; asked < 1_000; asked++) {
        const { status, body } = await fetch(`${broker.url}/v1/admin/stats`, { headers: asAdmin });
        await body?.cancel();
        if (status === 429) return;
      }
      throw new Error('nobody was ever refused');
    },
    poison(count) {
      for (const each of accounts.slice(0, count)) {
        csp.faults.add(
          'delete',
          { kind: 'respond', status: 500 },
          { times: Number.POSITIVE_INFINITY, uuid: uuidOf(each) },
        );
      }
    },
    stop() {
      stopped ??= broker.stop().then(() => csp.close());
      return stopped;
    },
  };
}
