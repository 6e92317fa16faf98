import { expect, test } from 'vitest';

test('the tests run on the Node that the project installs, whatever the machine has', () => {
  expect(process.version).toMatch(/^v24\./);
});
