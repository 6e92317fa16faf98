import { copyFile, mkdir, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { generateDtsBundle } from 'dts-bundle-generator';
import { type OutputOptions, rolldown } from 'rolldown';

/*
 * Makes the package of the client's sources: one file for `import` and one for `require`, and the types of each, which
 * hold what the entry names and nothing else of the broker. `npm pack ./packages/client` runs it.
 */

const ROOT = new URL('../', import.meta.url);
const SOURCES = new URL('src/client/', ROOT);
const PACKAGE = new URL('packages/client/', ROOT);
const ENTRY = fileURLToPath(new URL('index.ts', SOURCES));
/** What `await using` needs of a compiler; the bundler of the types leaves it out. */
const NEEDED_TYPES = '/// <reference lib="esnext.disposable" />\n';

/** As small as it gets: the sources are the project's, and what is thrown bears its name. */
const SMALL: OutputOptions = {
  comments: false,
  minify: true,
};

/** Writes `index.js`, `index.cjs` and the types of each into the folder, and leaves nothing else in it. */
async function build(folder: URL): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const fileOf = (name: string) => fileURLToPath(new URL(name, folder));
  const bundle = await rolldown({
    input: ENTRY,
    platform: 'neutral',
    // Nothing is there to be imported: neither Node's own, nor another package's.
    external: () => false,
    onwarn: ({ message }) => {
      throw new Error(message);
    },
    transform: { target: 'es2022' },
  });
  await bundle.write({ file: fileOf('index.js'), format: 'esm', ...SMALL });
  await bundle.write({ file: fileOf('index.cjs'), format: 'cjs', ...SMALL });
  await bundle.close();
  const [types = ''] = generateDtsBundle(
    [{ filePath: ENTRY, output: { noBanner: true, exportReferencedTypes: false } }],
    { preferredConfigPath: fileURLToPath(new URL('tsconfig.json', SOURCES)) },
  );
  await mkdir(new URL('types/', folder));
  await writeFile(fileOf('types/index.d.ts'), NEEDED_TYPES + types);
  // Without its words, which would weigh as much as the code: gzip does not see that they are there twice.
  await writeFile(
    fileOf('types/index.d.cts'),
    NEEDED_TYPES + types.replaceAll(/^\s*\/\*\*[\s\S]*?\*\/\n/gm, ''),
  );
}

await build(new URL('dist/', PACKAGE));
await copyFile(new URL('LICENSE', ROOT), new URL('LICENSE', PACKAGE));
