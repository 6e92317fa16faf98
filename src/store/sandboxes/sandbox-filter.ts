import type { Sandbox, SandboxStatus } from '../../domain/sandbox.ts';

/** What the store itself picks from what it reads; each narrows the others down. Of leases: running or over. */
export interface SandboxFilter {
  status?: SandboxStatus | undefined;
  namePrefix?: string | undefined;
  /** The whole holder. */
  holder?: string | undefined;
  holderPrefix?: string | undefined;
  labPrefix?: string | undefined;
  /** The whole holder, or the beginning of a name. */
  holderOrName?: string | undefined;
  /** No tombstones. */
  isAlive?: boolean | undefined;
}

interface Clause {
  expression: string;
  /** Named as in the expression, without its colon. */
  value: string;
  matches: (sandbox: Sandbox, value: string) => boolean;
}

const holderOf = (sandbox: Sandbox): string | undefined =>
  'lease' in sandbox ? sandbox.lease?.holder : undefined;

/** For the store, and for what the store lets through: the embedded engine's `begins_with` ignores case. */
const CLAUSES: Readonly<Record<Exclude<keyof SandboxFilter, 'isAlive'>, Omit<Clause, 'value'>>> = {
  status: {
    expression: '#status = :status',
    matches: ({ status }, value) => status === value,
  },
  namePrefix: {
    expression: 'begins_with(#name, :namePrefix)',
    matches: ({ name }, value) => name.startsWith(value),
  },
  holder: {
    expression: 'allocated_to_track = :holder',
    matches: (sandbox, value) => holderOf(sandbox) === value,
  },
  holderPrefix: {
    expression: 'begins_with(allocated_to_track, :holderPrefix)',
    matches: (sandbox, value) => holderOf(sandbox)?.startsWith(value) === true,
  },
  labPrefix: {
    expression: 'begins_with(track_name, :labPrefix)',
    matches: (sandbox, value) => 'lease' in sandbox && sandbox.lease?.lab?.startsWith(value) === true,
  },
  holderOrName: {
    expression: '(allocated_to_track = :holderOrName OR begins_with(#name, :holderOrName))',
    matches: (sandbox, value) => holderOf(sandbox) === value || sandbox.name.startsWith(value),
  },
};

function clausesOf(filter: SandboxFilter): [name: string, clause: Clause][] {
  return Object.entries(CLAUSES).flatMap(([name, clause]): [string, Clause][] => {
    const value = filter[name as keyof typeof CLAUSES];
    return value === undefined ? [] : [[name, { ...clause, value }]];
  });
}

/** The members of a query that picks; nothing for a filter that lets everything through. */
export function filterMembers(filter: SandboxFilter) {
  const clauses = clausesOf(filter);
  const expressions = clauses.map(([, { expression }]) => expression);
  if (filter.isAlive) expressions.push('#status <> :deleted');
  if (expressions.length === 0) return undefined;
  const expression = expressions.join(' AND ');
  const names = { '#name': 'name', '#status': 'status' };
  return {
    expression,
    // DynamoDB refuses a name that is not used.
    names: Object.fromEntries(Object.entries(names).filter(([alias]) => expression.includes(alias))),
    values: {
      ...Object.fromEntries(clauses.map(([name, { value }]) => [`:${name}`, value])),
      ...(filter.isAlive && { ':deleted': 'deleted' }),
    },
  };
}

/** Whether a sandbox passes. */
export const passes = (sandbox: Sandbox, filter: SandboxFilter): boolean =>
  (!filter.isAlive || sandbox.status !== 'deleted') &&
  clausesOf(filter).every(([, { matches, value }]) => matches(sandbox, value));
