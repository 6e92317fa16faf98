import { execFile, spawnSync } from 'node:child_process';
import { copyFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { InputData, JSONSchemaInput, type LanguageName, quicktype } from 'quicktype-core';
import { expect, test } from 'vitest';
import { startBrokerHere } from '../support/broker/broker-here.ts';
import { startApp } from '../support/broker/http-app.ts';
import { describeOnFastEngine } from '../support/store/engines.ts';
import { temporaryFolder } from '../support/temp-folder.ts';

const PROGRAM = fileURLToPath(new URL('../../examples/python/lease.py', import.meta.url));
const HAS_PYTHON = spawnSync('python3', ['--version']).status === 0;

/** What `quicktype --src-lang schema 'openapi.json#/components/schemas/'` makes of the document, as docs/api.md has it. */
async function generate(lang: LanguageName, rendererOptions: Record<string, string> = {}): Promise<string> {
  const { call } = await startApp();
  const { text } = await call('GET', '/v1/openapi.json');
  const schemas = new JSONSchemaInput(undefined);
  await schemas.addSource({ name: 'broker', uris: ['#/components/schemas/'], schema: text });
  const inputData = new InputData();
  inputData.addInput(schemas);
  const { lines } = await quicktype({ inputData, lang, rendererOptions });
  return lines.join('\n');
}

describeOnFastEngine('types that are generated from the API document', ({ endpoint }) => {
  test.skipIf(!HAS_PYTHON)(
    `lease a sandbox from Python${HAS_PYTHON ? '' : ' (python3 is not there)'}`,
    async () => {
      const here = await startBrokerHere(endpoint);
      const folder = await temporaryFolder();
      await writeFile(join(folder, 'broker_types.py'), await generate('python'));
      await copyFile(PROGRAM, join(folder, 'lease.py'));
      const { stdout } = await promisify(execFile)('python3', ['-B', 'lease.py'], {
        cwd: folder,
        env: {
          PATH: process.env['PATH'],
          BROKER_URL: here.url,
          BROKER_API_TOKEN: 'dev-track-token',
          BROKER_HOLDER: 'python-1',
        },
      });
      expect(stdout).toMatch(/^lab-\d+ until \d+\nsim-\d+ is given back\n$/);
    },
  );

  test('have every field of a lease in Go', async () => {
    const types = await generate('go', { package: 'broker' });
    const [, lease = ''] = /^type Lease struct \{\n([\s\S]*?)^\}/m.exec(types) ?? [];
    for (const name of ['sandbox_id', 'lease_id', 'fencing_token', 'expires_at']) {
      expect(lease).toMatch(new RegExp(`\`json:"${name}(,omitempty)?"\``));
    }
  });
});
