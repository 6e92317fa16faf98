import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { anchorOf } from '../../src/console/markdown.ts';
import { DOCUMENTS, readDocument } from './documents.ts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

const anchorsOf = (file: string): string[] =>
  [...readDocument(file).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => anchorOf(heading));

test.each(DOCUMENTS)('every link of %s leads somewhere', (file) => {
  const links = [...readDocument(file).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)/g)];
  for (const [link, path = '', anchor] of links) {
    const target = new URL(path, new URL(file, 'file:///')).pathname.slice(1) || file;
    const read = path === '' ? file : target;
    if (anchor === undefined) expect(() => readDocument(read), link).not.toThrow();
    else expect(anchorsOf(read), link).toContain(anchor);
  }
});

test.each(DOCUMENTS)('every file and script that %s names is there', (file) => {
  const text = readDocument(file);
  const { scripts } = JSON.parse(readDocument('package.json')) as { scripts: Record<string, string> };
  const called = [...text.matchAll(/\bnpm run ([a-z:]+)/g)].map(([, script = '']) => script);
  expect(called.filter((script) => scripts[script] === undefined)).toEqual([]);
  const paths = [...text.matchAll(/(?<![\w./-])(?:test|deploy|src|docs|bin)\/[\w./-]*\w/g)].map(
    ([path]) => path,
  );
  // What a run leaves behind is not there before it.
  const made = ['test/bench/results'];
  expect(paths.filter((path) => !existsSync(`${ROOT}${path}`) && !made.includes(path))).toEqual([]);
});
