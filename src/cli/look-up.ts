import type { SandboxList, SandboxWithHistory } from '../api/types/sandboxes.ts';
import type { SandboxRecord } from '../client/index.ts';
import { as } from './answers.ts';
import { callerFor, type GlobalOptions } from './environment.ts';
import { CliError, EXIT } from './exit-codes.ts';
import { createOutput } from './output.ts';
import { moreNote } from './pages.ts';
import { SANDBOX_COLUMNS, sandboxRow } from './text/sandbox-rows.ts';

const PAGE = 100;
/** Candidates that are shown to choose from. */
const SHOWN = 20;

/**
 * The one sandbox that is meant by its id, its name, or its holder, with its history. Where several are, it lists them and
 * ends with 1; where none is, with 3. `isExact`: the beginning of a name is not enough, as for an order.
 */
export async function lookUp(
  text: string,
  options: GlobalOptions,
  { isExact = false } = {},
): Promise<SandboxWithHistory> {
  const { exact, alike } = await search(text, options);
  const byId = exact.find(({ sandbox_id: id }) => id === text);
  const meant = byId !== undefined ? [byId] : exact.length > 0 || isExact ? exact : alike;
  const [one, another] = meant;
  if (one === undefined) {
    throw new CliError(`No sandbox has the id, the name or the holder ${text}.`, { exitCode: EXIT.refused });
  }
  if (another !== undefined) {
    const more = meant.length > SHOWN;
    const sandboxes = meant.slice(0, SHOWN);
    const output = createOutput(options);
    output.result({ sandboxes, count: sandboxes.length, more }, () =>
      output.table(SANDBOX_COLUMNS, sandboxes.map(sandboxRow)).concat(moreNote(more)),
    );
    throw new CliError(`${more ? 'Many' : meant.length} sandboxes match ${text}: say which by its id.`, {
      exitCode: EXIT.failure,
    });
  }
  const path = `/v1/admin/sandboxes/${encodeURIComponent(one.sandbox_id)}`;
  return as<SandboxWithHistory>(await callerFor('admin', options)({ method: 'GET', path }));
}

/** `exact`: of this id, holder or name. `alike`: some whose names begin so, where nothing is exact. */
async function search(text: string, options: GlobalOptions) {
  const call = callerFor('admin', options);
  const exact: SandboxRecord[] = [];
  const alike: SandboxRecord[] = [];
  let cursor: string | undefined;
  do {
    const query = { find: text, limit: PAGE, cursor };
    const page = as<SandboxList>(await call({ method: 'GET', path: '/v1/admin/sandboxes', query }));
    for (const sandbox of page.sandboxes) (isCalled(sandbox, text) ? exact : alike).push(sandbox);
    cursor = page.cursor;
    // The broker tells these first. Names that begin so may be everywhere.
  } while (cursor !== undefined && exact.length === 0);
  return { exact, alike: alike.slice(0, SHOWN + 1) };
}

const isCalled = (
  { sandbox_id: id, allocated_to_track: holder, name }: SandboxRecord,
  text: string,
): boolean => [id, holder, name].includes(text);
