import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import {
  ALLOWED_LICENCES,
  type AuditOutcome,
  licenceCounts,
  lockfileProblems,
  parseLockfile,
  readAudit,
} from './supply-rules.ts';

/**
 * `npm run check:supply`: exits with 1 and a list of what is wrong unless every package in the lockfile keeps the rules
 * and none that production uses has a known grave fault. A registry that does not answer that question is said so.
 */

const PROJECT = fileURLToPath(new URL('../../..', import.meta.url));
const AUDIT_WITHIN_MS = 60_000;

/** Asks whichever registry npm is configured with, once. */
function askForAdvisories(): Promise<AuditOutcome> {
  const question = ['audit', '--json', '--omit=dev', '--fetch-retries=0'];
  return new Promise((resolve) => {
    // Its exit status says the same as its output, and less: it is 1 for a finding and for a refusal.
    execFile('npm', question, { cwd: PROJECT, timeout: AUDIT_WITHIN_MS }, (_error, output) =>
      resolve(readAudit(output)),
    );
  });
}

const lockfile = parseLockfile(readFileSync(`${PROJECT}/package-lock.json`, 'utf8'));
const advisories = await askForAdvisories();

console.log('Licences:');
for (const [licence, packages] of licenceCounts(lockfile)) {
  const terms = licence
    .replaceAll(/[()]/g, '')
    .split(' OR ')
    .map((name) => ALLOWED_LICENCES[name]?.reason ?? 'not allowed');
  console.log(`  ${String(packages).padStart(4)}  ${licence}: ${terms.join('; or ')}`);
}
const problems = lockfileProblems(lockfile);
if (advisories.kind === 'not_answered') {
  console.log(`Known faults: NOT ANSWERED, and so not known: ${advisories.why}.`);
} else {
  problems.push(...advisories.grave.map((finding) => `has a known fault: ${finding}`));
  console.log(`Known faults: answered; ${advisories.grave.length} high or critical in production.`);
  for (const finding of advisories.others) console.log(`  less grave: ${finding}`);
}
if (problems.length === 0) {
  console.log('Every package in the lockfile keeps the rules.');
} else {
  console.error(['What the project is made of breaks its rules:', ...problems].join('\n- '));
  process.exitCode = 1;
}
