/** Reasons that differ in what they are about have one runbook. */
const FAMILIES = ['quota_exceeded_', 'runtime_'];

/** The heading of a reason's runbook in docs/operations.md, as it stands in an address. */
export const runbookAnchor = (reason: string): string =>
  FAMILIES.find((family) => reason.startsWith(family)) ?? reason;

/** Where the runbook of an alert is, by its reason. */
export type RunbookOf = (reason: string) => string;

/** `handbook`: the address of docs/operations.md, or of a copy of it. */
export const runbooksIn =
  (handbook: string): RunbookOf =>
  (reason) =>
    `${handbook}#${encodeURIComponent(runbookAnchor(reason))}`;
