import { existsSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';
import { createRequire, stripTypeScriptTypes } from 'node:module';
import { extname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { OPERATIONS_PATH, operationsPage } from './operations-page.ts';

/** A file of the console, as a browser gets it. */
export interface ConsoleFile {
  contentType: string;
  body: Buffer;
}

const PAGE = fileURLToPath(new URL('./page/', import.meta.url));
const packages = createRequire(import.meta.url);

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

/** What comes from packages: the name under which it is imported, if it is, and the file below the package's folder. */
const VENDOR: readonly { url: string; packageName: string; file: string; specifier?: string }[] = [
  { url: 'preact.js', packageName: 'preact', file: 'dist/preact.mjs', specifier: 'preact' },
  { url: 'hooks.js', packageName: 'preact', file: 'hooks/dist/hooks.mjs', specifier: 'preact/hooks' },
  { url: 'htm.js', packageName: 'htm', file: 'dist/htm.module.js', specifier: 'htm' },
  { url: 'uplot.js', packageName: 'uplot', file: 'dist/uPlot.esm.js', specifier: 'uplot' },
  { url: 'uplot.css', packageName: 'uplot', file: 'dist/uPlot.min.css' },
  { url: 'pico.css', packageName: '@picocss/pico', file: 'css/pico.min.css' },
];

const vendorUrl = (url: string): string => `/console/vendor/${url}`;

let loading: Promise<ReadonlyMap<string, ConsoleFile>> | undefined;

/**
 * The files of the console by path: the page's modules without their types, and the few of the packages they import.
 * Made when first asked for, and kept. Throws when a file is missing or imports what is not served.
 */
export function loadConsoleFiles(): Promise<ReadonlyMap<string, ConsoleFile>> {
  loading ??= load().catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(): Promise<ReadonlyMap<string, ConsoleFile>> {
  const files = new Map<string, ConsoleFile>();
  const add = (path: string, text: string, kind = extname(path)) => {
    const contentType = CONTENT_TYPES[kind];
    if (contentType === undefined) throw new TypeError(`${path} is of no kind that the console serves`);
    files.set(path, { contentType, body: Buffer.from(text) });
  };
  for (const { url, packageName, file } of VENDOR) {
    const text = await readFile(join(folderOf(packageName), file), 'utf8');
    add(vendorUrl(url), file.endsWith('css') ? text : withServedImports(withoutSourceMap(text)));
  }
  const names = (await readdir(PAGE, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && extname(entry.name) !== '.json')
    .map((entry) => relative(PAGE, join(entry.parentPath, entry.name)))
    .sort();
  for (const name of names) {
    const text = await readFile(join(PAGE, name), 'utf8');
    if (!name.endsWith('.ts')) add(`/console/page/${name}`, text);
    else add(`/console/page/${name.slice(0, -3)}.js`, withServedImports(withoutTypes(text)));
  }
  const index = files.get('/console/page/index.html');
  if (index === undefined) throw new TypeError('the console has no index.html');
  files.set('/console', index);
  files.delete('/console/page/index.html');
  add(OPERATIONS_PATH, await operationsPage(), '.html');
  return files;
}

/** Where a package is installed. Not all of them export their package.json or their files, so it is looked for. */
function folderOf(packageName: string): string {
  const folders = (packages.resolve.paths(packageName) ?? []).map((folder) => join(folder, packageName));
  const installed = folders.find((folder) => existsSync(join(folder, 'package.json')));
  if (installed === undefined) throw new Error(`the package ${packageName} is not installed: run npm ci`);
  return installed;
}

/**
 * The module as a browser takes it. Node calls the function experimental each time a process first uses it; what the
 * page is made of is pinned with Node's version and held by tests, so nobody needs to be told at every start.
 */
function withoutTypes(source: string): string {
  const { emitWarning } = process;
  process.emitWarning = () => undefined;
  try {
    return stripTypeScriptTypes(source);
  } finally {
    process.emitWarning = emitWarning;
  }
}

/** `from './x.ts'` and `from 'preact'` become what is served; a browser knows no packages. */
function withServedImports(source: string): string {
  return source.replace(/(\bfrom\s*|\bimport\s*)(["'])([^"'\s]+)\2/g, (_all, keyword, quote, specifier) => {
    return `${keyword}${quote}${servedAs(String(specifier))}${quote}`;
  });
}

function servedAs(specifier: string): string {
  if (/^(\.\/|(\.\.\/)+)([a-z-]+\/)*[a-z-]+\.ts$/.test(specifier)) return `${specifier.slice(0, -3)}.js`;
  const vendor = VENDOR.find((each) => each.specifier === specifier);
  if (vendor === undefined) throw new TypeError(`the console imports ${specifier}, which is not served`);
  return vendorUrl(vendor.url);
}

/** They are not served, and a browser with its tools open would ask for them. */
const withoutSourceMap = (source: string): string => source.replace(/^\/\/# sourceMappingURL=.*$/m, '');
