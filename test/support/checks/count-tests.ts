// Counts vitest's JSON report: `count-tests.ts <report> <vitest's exit status>` prints "passed failed skipped".
import { readFileSync } from 'node:fs';

interface Report {
  testResults: { name: string; message: string; status: string; assertionResults: Assertion[] }[];
}
interface Assertion {
  fullName: string;
  status: string;
}

const [path = '', exitStatus = ''] = process.argv.slice(2);
const { testResults } = JSON.parse(readFileSync(path, 'utf8')) as Report;
const tests = testResults.flatMap((file) => file.assertionResults);
const named = (status: (test: Assertion) => boolean): string[] =>
  tests.filter(status).map((test) => test.fullName);

const isSkipped = ({ status }: Assertion): boolean => status !== 'passed' && status !== 'failed';
// Where everything is installed, a test that is skipped for want of a tool says that something is not.
const wantsTool = ({ fullName }: Assertion): boolean => fullName.includes('(skipped:');

const passed = named(({ status }) => status === 'passed');
const skipped = named((test) => isSkipped(test) && !wantsTool(test));
const failures = named((test) => test.status === 'failed' || (isSkipped(test) && wantsTool(test)));
// A file that cannot even be loaded has no tests that could fail.
for (const file of testResults) {
  const explained = file.assertionResults.some(({ status }) => status === 'failed');
  if (file.status === 'failed' && !explained) failures.push(`${file.name}: ${file.message}`);
}
if (exitStatus !== '0' && failures.length === 0) failures.push(`vitest ended with status ${exitStatus}`);

for (const name of skipped) console.error(`skipped: ${name}`);
for (const name of failures) console.error(`failed: ${name}`);
console.log(passed.length, failures.length, skipped.length);
