import { z } from 'zod';

/*
 * What this project lets itself be made of. The rules are pure: `check-supply.ts` reads the files and asks the registry.
 */

const lockedPackage = z.object({
  version: z.string().optional(),
  resolved: z.string().optional(),
  integrity: z.string().optional(),
  license: z.string().optional(),
  dev: z.boolean().optional(),
  hasInstallScript: z.boolean().optional(),
});
const lockfileSchema = z.object({ packages: z.record(z.string(), lockedPackage) });

export type LockedPackage = z.infer<typeof lockedPackage>;
export type Lockfile = z.infer<typeof lockfileSchema>;

/** Throws when the text is no lockfile of npm's third version. */
export const parseLockfile = (text: string): Lockfile => lockfileSchema.parse(JSON.parse(text));

interface LicenceTerms {
  reason: string;
  /** Good enough for what builds and tests, not for what runs in production. */
  onlyDevelopment?: true;
}

/** The licences that may be in the tree, by their SPDX names, and why. */
export const ALLOWED_LICENCES: Readonly<Record<string, LicenceTerms>> = {
  'Apache-2.0': { reason: "the project's own; permissive, with a grant of patents" },
  MIT: { reason: 'permissive: its notice goes along' },
  ISC: { reason: 'permissive: the same in fewer words' },
  'BSD-2-Clause': { reason: 'permissive: its notice goes along' },
  'BSD-3-Clause': { reason: 'permissive: its notice goes along, its names are not used to advertise' },
  '0BSD': { reason: 'permissive, and asks for nothing' },
  'BlueOak-1.0.0': { reason: 'permissive, with a grant of patents' },
  'Python-2.0': { reason: 'permissive: its notice goes along; code that came from Python' },
  'MPL-2.0': {
    reason: 'copyleft by the file: harmless for a tool that is used unchanged, not wanted in what is shipped',
    onlyDevelopment: true,
  },
};

/** The packages that may run something of their own at an installation, and why. */
export const ALLOWED_INSTALL_SCRIPTS: Readonly<Record<string, string>> = {
  'node_modules/node': 'puts the Node that the project needs beside whatever the machine has',
};

/** True when one of the alternatives of an SPDX expression has nothing but allowed licences in it. */
export function isAllowedLicence(expression: string, isDevelopment: boolean): boolean {
  const isAllowed = (name: string): boolean => {
    const terms = Object.hasOwn(ALLOWED_LICENCES, name) ? ALLOWED_LICENCES[name] : undefined;
    return terms !== undefined && (isDevelopment || terms.onlyDevelopment !== true);
  };
  // Inner brackets would need a grammar; nobody has any, and what is not understood is not allowed.
  const bare = expression.trim().replace(/^\((.*)\)$/, '$1');
  return bare
    .split(/ OR /i)
    .some((alternative) => alternative.split(/ AND /i).every((name) => isAllowed(name.trim())));
}

/** The packages, the project itself left out. */
const dependencies = ({ packages }: Lockfile): [string, LockedPackage][] =>
  Object.entries(packages).filter(([path]) => path !== '');

/** What in the lockfile breaks a rule, a sentence each. */
export function lockfileProblems(lockfile: Lockfile): string[] {
  return dependencies(lockfile).flatMap(([path, locked]) => {
    const problems: string[] = [];
    if (locked.license === undefined) problems.push('has no licence');
    else if (!isAllowedLicence(locked.license, locked.dev === true)) {
      problems.push(
        `has the licence ${locked.license}, which is not allowed ${locked.dev ? 'at all' : 'in production'}`,
      );
    }
    if (locked.hasInstallScript === true && !Object.hasOwn(ALLOWED_INSTALL_SCRIPTS, path)) {
      problems.push('runs a script of its own at the installation');
    }
    // Also what comes from git or by a URL, which no registry vouches for.
    if (/[/:]/.test(`${locked.resolved ?? ''}${locked.version ?? ''}`))
      problems.push('says where it is fetched from');
    if (!/^sha512-/.test(locked.integrity ?? '')) problems.push('has no sha512 of its content');
    return problems.map((problem) => `${path} ${problem}`);
  });
}

/** How many packages have each licence, the most frequent first. */
export function licenceCounts(lockfile: Lockfile): [licence: string, packages: number][] {
  const counts = new Map<string, number>();
  for (const [, { license = 'none' }] of dependencies(lockfile))
    counts.set(license, (counts.get(license) ?? 0) + 1);
  return [...counts].sort(([, one], [, other]) => other - one);
}

const auditReport = z.object({
  auditReportVersion: z.number(),
  vulnerabilities: z.record(z.string(), z.object({ severity: z.string() })),
});
const auditError = z.object({
  statusCode: z.number().optional(),
  error: z.object({ code: z.string().optional() }).optional(),
});

/** What became of the question whether anything known is wrong with the packages. */
export type AuditOutcome =
  | { kind: 'answered'; grave: string[]; others: string[] }
  /** Nobody knows: that is not the same as clean. */
  | { kind: 'not_answered'; why: string };

const GRAVE = ['high', 'critical'];

/** Reads what `npm audit --json` wrote. */
export function readAudit(output: string): AuditOutcome {
  let parsed: unknown;
  try {
    parsed = JSON.parse(output);
  } catch {
    return { kind: 'not_answered', why: 'npm said nothing that can be read' };
  }
  const report = auditReport.safeParse(parsed).data;
  if (report === undefined) {
    const { statusCode, error } = auditError.safeParse(parsed).data ?? {};
    return {
      kind: 'not_answered',
      why: `the registry refused: ${statusCode ?? error?.code ?? 'it did not say why'}`,
    };
  }
  const named = Object.entries(report.vulnerabilities).map(([name, { severity }]) => ({
    severity,
    text: `${name}: ${severity}`,
  }));
  const isGrave = ({ severity }: { severity: string }): boolean => GRAVE.includes(severity);
  return {
    kind: 'answered',
    grave: named.filter(isGrave).map(({ text }) => text),
    others: named.filter((each) => !isGrave(each)).map(({ text }) => text),
  };
}
