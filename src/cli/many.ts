import { type Command, Option } from 'commander';
import type { Caller } from '../client/call.ts';
import { as } from './answers.ts';
import { type ConfirmOptions, confirm } from './confirm.ts';
import type { GlobalOptions } from './environment.ts';
import { CliError, EXIT, exitCodeOf } from './exit-codes.ts';
import { onceOnly } from './once-only.ts';
import { createOutput, fields } from './output.ts';
import { startProgress } from './text/progress.ts';

/** Which sandboxes an order about many means: what `list` shows for the same options. */
export interface ManyOptions extends GlobalOptions, ConfirmOptions {
  prefix?: string;
  holder?: string;
  holderPrefix?: string;
  lab?: string;
  find?: string;
  /** Only say how many. */
  count?: boolean;
}

/** What the broker says of one step. */
interface Step {
  found: number;
  skipped: number;
  failed: number;
  failed_sandboxes: string[];
  cursor?: string;
}

interface Order<Done extends string> {
  path: string;
  status: string;
  /** What the answer calls those that were changed. */
  done: Done;
  /** Of so many, in words: `42 leases`. */
  inWords: (count: number) => string;
  /** What there is to be asked before; nothing where it does no harm. */
  question?: (count: number) => string;
  /** More for each step, by what the count said. */
  more?: (count: { as_of: number }) => Record<string, string | number | undefined>;
}

const STEP = 100;

export function addFilterOptions(command: Command): Command {
  return command
    .option('--prefix <name>', 'only names that begin so')
    .option('--holder-prefix <text>', 'only leases of holders that begin so')
    .option('--lab <name>', 'only leases of labs that begin so')
    .option('--find <text>', 'by id, whole holder, or the beginning of a name')
    .addOption(new Option('--count', 'only say how many that are; change nothing'));
}

/**
 * Counts what is meant, asks, and has it done step by step, so that one sees how far it is. Each step is carried out once;
 * where it breaks off, what was done stays done, and the same command goes on.
 */
export async function carryOut<Done extends string>(
  call: Caller,
  options: ManyOptions,
  order: Order<Done>,
): Promise<void> {
  const { prefix, holder, holderPrefix: holder_prefix, lab, find } = options;
  const filter = { prefix, holder, holder_prefix, lab, find };
  const query = { ...filter, status: order.status };
  const counted = as<{ count: number; as_of: number }>(
    await call({ method: 'GET', path: '/v1/admin/sandbox-count', query }),
  );
  const output = createOutput(options);
  if (options.count) return output.result(counted, () => [String(counted.count)]);
  const sums = { found: 0, [order.done]: 0, skipped: 0, failed: 0 } as Record<Done | keyof Step, number>;
  const failedIds: string[] = [];
  if (counted.count > 0) {
    if (order.question) await confirm(order.question(counted.count), options);
    await inSteps();
  }
  output.result({ status: 'completed', ...sums, failed_sandboxes: failedIds }, () =>
    fields({ ...sums, failed_sandboxes: failedIds.length > 0 ? failedIds.join(' ') : undefined }),
  );
  if (sums.failed > 0)
    throw new CliError(`${sums.failed} could not be changed. Try again.`, { exitCode: EXIT.failure });

  async function inSteps(): Promise<void> {
    const progress = startProgress(order.done, counted.count);
    let cursor: string | undefined;
    try {
      do {
        const step = as<Step & Record<Done, number>>(
          await call({
            method: 'POST',
            path: order.path,
            query: { ...filter, ...order.more?.(counted), limit: STEP, cursor },
            headers: onceOnly(),
          }),
        );
        for (const name of Object.keys(sums) as (Done | 'found')[]) sums[name] += step[name];
        failedIds.push(...step.failed_sandboxes);
        progress.tell(Math.min(sums.found, counted.count));
        cursor = step.cursor;
      } while (cursor !== undefined);
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new CliError(
        `${order.inWords(sums[order.done])} of ${counted.count} ${order.done}, then it broke off: ${why} The same command goes on.`,
        { exitCode: exitCodeOf(cause), cause },
      );
    } finally {
      progress.end();
    }
  }
}
