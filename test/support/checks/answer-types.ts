import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

/*
 * The broker's answers as plain types, for whom zod is too much: the client's package, the browser, the command line. They
 * follow from the schemas in `src/api`, descriptions included: `npm run api:types` writes a file for each file of schemas.
 */

const API = new URL('../../../src/api/', import.meta.url);
const TYPES = new URL('types/', API);
const BIOME = fileURLToPath(new URL('../../../node_modules/.bin/biome', import.meta.url));

const HEAD =
  '// Made from the schemas of the folder above by `npm run api:types`; a test holds the one against the other.\n';

/** Names that would be mistaken for others. */
const RENAMED: Readonly<Record<string, string>> = {
  Error: 'ErrorAnswer',
  Event: 'SandboxEvent',
  Sandbox: 'SandboxRecord',
};

type Schema = z.core.JSONSchema.BaseSchema;

/** The modules of types, by their file's name. */
export async function answerTypes(): Promise<Map<string, string>> {
  const files = readdirSync(API).filter((file) => file.endsWith('.ts'));
  await Promise.all(files.map((file) => import(new URL(file, API).href)));
  const { schemas } = z.toJSONSchema(z.globalRegistry, { io: 'output', uri: (id) => id });
  const fileOf = new Map(
    files.flatMap((file) =>
      [...readFileSync(new URL(file, API), 'utf8').matchAll(/\bid: '(\w+)'/g)].map(([, id = '']) => [
        id,
        file,
      ]),
    ),
  );
  return new Map(
    files.flatMap((file): [string, string][] => {
      const own = Object.entries(schemas).filter(([id]) => fileOf.get(id) === file);
      return own.length === 0 ? [] : [[file, moduleOf(file, own, fileOf)]];
    }),
  );
}

/** The written ones. */
export const writtenTypes = (): Map<string, string> =>
  new Map(readdirSync(TYPES).map((file) => [file, readFileSync(new URL(file, TYPES), 'utf8')]));

function moduleOf(file: string, own: [id: string, Schema][], fileOf: ReadonlyMap<string, string>): string {
  const declarations = own.map(([id, schema]) => declarationOf(nameOf(id), schema));
  const foreign = new Set(
    [...JSON.stringify(own).matchAll(/"\$ref":"(\w+)"/g)]
      .map(([, id = '']) => id)
      .filter((id) => fileOf.get(id) !== file),
  );
  const imports = [...foreign].map((id) => `import type { ${nameOf(id)} } from './${fileOf.get(id)}';\n`);
  return format(`${HEAD}${imports.join('')}\n${declarations.join('\n')}`);
}

const nameOf = (id: string): string => RENAMED[id] ?? id;

function declarationOf(name: string, schema: Schema): string {
  const { $ref: _itself, ...described } = schema;
  const text = typeOf(described);
  const isObject = schema.type === 'object' && schema.properties !== undefined;
  const declaration = isObject ? `export interface ${name} ${text}` : `export type ${name} = ${text};`;
  return `${docOf(schema)}${declaration}\n`;
}

function typeOf(schema: Schema): string {
  if (schema.$ref !== undefined) return nameOf(schema.$ref);
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.enum !== undefined) return schema.enum.map((each) => JSON.stringify(each)).join(' | ');
  const either = schema.anyOf ?? schema.oneOf;
  if (either !== undefined) return either.map((each) => typeOf(each as Schema)).join(' | ');
  const { type } = schema;
  if (Array.isArray(type)) return type.map((each) => typeOf({ ...schema, type: each })).join(' | ');
  switch (type) {
    case 'array':
      return `(${typeOf((schema.items ?? {}) as Schema)})[]`;
    case 'object':
      return objectOf(schema);
    case 'integer':
      return 'number';
    case 'string':
    case 'number':
    case 'boolean':
    case 'null':
      return type;
    case undefined:
      return 'unknown';
    default:
      throw new TypeError(`no type is known for ${JSON.stringify(schema)}`);
  }
}

function objectOf({ properties, required = [], additionalProperties, propertyNames }: Schema): string {
  if (properties === undefined) {
    const key = propertyNames === undefined ? 'string' : typeOf(propertyNames as Schema);
    return `Record<${key}, ${typeOf((additionalProperties || {}) as Schema)}>`;
  }
  const members = Object.entries(properties).map(([name, property]) => {
    const member = property as Schema;
    const isThere = required.includes(name);
    return `${docOf(member)}${name}${isThere ? '' : '?'}: ${typeOf(member)}${isThere ? '' : ' | undefined'};`;
  });
  return `{\n${members.join('\n')}\n}`;
}

const MOST_COLUMNS = 110;

function docOf({ description }: Schema): string {
  if (description === undefined) return '';
  if (description.length < MOST_COLUMNS) return `/** ${description} */\n`;
  const lines = [''];
  for (const word of description.split(' ')) {
    const line = lines.at(-1) ?? '';
    if (line.length + word.length > MOST_COLUMNS) lines.push(word);
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`;
  }
  return `/**\n${lines.map((line) => ` * ${line}`).join('\n')}\n */\n`;
}

/** Formatted, with its imports in order. */
const format = (text: string): string =>
  execFileSync(BIOME, ['check', '--write', '--stdin-file-path=src/api/types/made.ts'], {
    input: text,
    encoding: 'utf8',
    cwd: fileURLToPath(new URL('../../', API)),
    stdio: ['pipe', 'pipe', 'ignore'],
  });

if (import.meta.main) {
  rmSync(TYPES, { recursive: true, force: true });
  mkdirSync(TYPES);
  for (const [file, text] of await answerTypes()) writeFileSync(new URL(file, TYPES), text);
}
