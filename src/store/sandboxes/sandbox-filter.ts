import { type FilterValue, type SandboxFilter, valuesOf } from '../../domain/sandbox-filter.ts';

/** What `passes` says, for the store. The embedded engine's `begins_with` ignores case: it may let more through. */
const EXPRESSIONS: Readonly<Record<FilterValue, string>> = {
  status: '#status = :status',
  namePrefix: 'begins_with(#name, :namePrefix)',
  holder: 'allocated_to_track = :holder',
  holderPrefix: 'begins_with(allocated_to_track, :holderPrefix)',
  labPrefix: 'begins_with(track_name, :labPrefix)',
  holderOrName: '(allocated_to_track = :holderOrName OR begins_with(#name, :holderOrName))',
};

/** The members of a query that picks; nothing for a filter that lets everything through. */
export function filterMembers(filter: SandboxFilter) {
  const values = valuesOf(filter);
  const expressions = values.map(([name]) => EXPRESSIONS[name]);
  if (filter.isAlive) expressions.push('#status <> :deleted');
  if (expressions.length === 0) return undefined;
  const expression = expressions.join(' AND ');
  const names = { '#name': 'name', '#status': 'status' };
  return {
    expression,
    // DynamoDB refuses a name that is not used.
    names: Object.fromEntries(Object.entries(names).filter(([alias]) => expression.includes(alias))),
    values: {
      ...Object.fromEntries(values.map(([name, value]) => [`:${name}`, value])),
      ...(filter.isAlive && { ':deleted': 'deleted' }),
    },
  };
}
