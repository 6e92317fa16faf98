import type { Command } from 'commander';
import type { Line, Place } from '../../api/types/line.ts';
import type { Caller } from '../../client/call.ts';
import { as } from '../answers.ts';
import { callerFor, type GlobalOptions } from '../environment.ts';
import { CliError, EXIT } from '../exit-codes.ts';
import { createOutput, fields, time } from '../output.ts';
import { collect, limitOption, moreNote } from '../pages.ts';
import { inWords } from '../text/place-line.ts';

const PATH = '/v1/admin/line';
/** What a table shows of a ticket: nobody else's begins so. */
const SHORT_TICKET = /^\d-\d{13}/;
const WHOLE_TICKET = /^\d-\d{13}-[0-9a-f]{64}$/;

/** Who waits, for operators. */
export function addLineCommands(program: Command): void {
  const line = program
    .command('line')
    .description('list who waits, the head first')
    .addOption(limitOption(50))
    .addHelpText(
      'after',
      `
Examples:
  $ sandbox-broker line
  $ sandbox-broker line remove 9-0000000000042`,
    )
    .action(async (_options, command: Command) => {
      const options: GlobalOptions & { limit: number } = command.optsWithGlobals();
      const { items, more, waiting } = await readLine(callerFor('admin', options), options.limit);
      const rows = items.map((place) => [
        place.position,
        place.holder,
        place.track_name,
        place.name_prefix,
        place.priority,
        time(place.joined_at),
        place.eta_seconds === null ? undefined : inWords(place.eta_seconds),
        { text: shortOf(place.ticket_id), tone: 'quiet' as const },
      ]);
      const columns = ['PLACE', 'HOLDER', 'LAB', 'PREFIX', 'PRIORITY', 'SINCE', 'EXPECTED', 'TICKET'];
      const output = createOutput(options);
      output.result({ places: items, count: items.length, waiting, more }, () =>
        items.length === 0 ? ['Nobody waits.'] : output.table(columns, rows).concat(moreNote(more)),
      );
    });

  line
    .command('remove')
    .description('take a place in the line away; its caller is told, and may join anew')
    .argument('<ticket>', 'as the list shows it, or whole')
    .addHelpText('after', '\nExample:\n  $ sandbox-broker line remove 9-0000000000042')
    .action(async (ticket: string, _options, command: Command) => {
      const options: GlobalOptions = command.optsWithGlobals();
      const call = callerFor('admin', options);
      const path = `${PATH}/${await wholeTicket(call, ticket)}`;
      const left = as<Record<string, unknown>>(await call({ method: 'DELETE', path }));
      createOutput(options).result(left, () => fields(left));
    });
}

async function readLine(call: Caller, limit: number) {
  let waiting = 0;
  const found = await collect<Place>({ limit }, async (limit, cursor) => {
    const page = as<Line>(await call({ method: 'GET', path: PATH, query: { limit, cursor } }));
    waiting = page.waiting;
    return { items: page.places, cursor: page.cursor };
  });
  return { ...found, waiting };
}

const shortOf = (ticket: string): string => SHORT_TICKET.exec(ticket)?.[0] ?? ticket;

/** The ticket that begins so. */
async function wholeTicket(call: Caller, ticket: string): Promise<string> {
  if (WHOLE_TICKET.test(ticket)) return ticket;
  const { items } = await readLine(call, Number.POSITIVE_INFINITY);
  const found = items.find(({ ticket_id }) => shortOf(ticket_id) === ticket);
  if (found) return found.ticket_id;
  throw new CliError(`No place in the line has the ticket ${ticket}.`, { exitCode: EXIT.refused });
}
