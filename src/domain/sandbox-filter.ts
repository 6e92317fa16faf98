import type { Sandbox, SandboxStatus } from './sandbox.ts';

/** What is picked from a walk over the pool; each narrows the others down. Of leases: running or over. */
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

/** The members of a filter that have a value to compare with. */
export type FilterValue = Exclude<keyof SandboxFilter, 'isAlive'>;

const leaseOf = (sandbox: Sandbox) => ('lease' in sandbox ? sandbox.lease : undefined);

const MATCHES: Readonly<Record<FilterValue, (sandbox: Sandbox, value: string) => boolean>> = {
  status: ({ status }, value) => status === value,
  namePrefix: ({ name }, value) => name.startsWith(value),
  holder: (sandbox, value) => leaseOf(sandbox)?.holder === value,
  holderPrefix: (sandbox, value) => leaseOf(sandbox)?.holder.startsWith(value) === true,
  labPrefix: (sandbox, value) => leaseOf(sandbox)?.lab?.startsWith(value) === true,
  holderOrName: (sandbox, value) => leaseOf(sandbox)?.holder === value || sandbox.name.startsWith(value),
};

/** The values that a filter compares with, by what they are compared with. */
export const valuesOf = (filter: SandboxFilter): [FilterValue, string][] =>
  (Object.keys(MATCHES) as FilterValue[]).flatMap((name): [FilterValue, string][] => {
    const value = filter[name];
    return value === undefined ? [] : [[name, value]];
  });

/** Whether a sandbox passes. */
export const passes = (sandbox: Sandbox, filter: SandboxFilter): boolean =>
  (!filter.isAlive || sandbox.status !== 'deleted') &&
  valuesOf(filter).every(([name, value]) => MATCHES[name](sandbox, value));
