import { z } from 'zod';

const schemaObject = z.record(z.string(), z.unknown());
/** A JSON schema as the document has it, `$ref`s resolved. */
export type Schema = z.infer<typeof schemaObject>;

const parameter = z.object({
  name: z.string(),
  in: z.enum(['path', 'query', 'header']),
  schema: schemaObject.default({}),
});
const operation = z.object({
  operationId: z.string(),
  security: z.array(z.record(z.string(), z.unknown())).optional(),
  parameters: z.array(parameter).default([]),
  requestBody: z.object({ content: z.record(z.string(), z.object({ schema: schemaObject })) }).optional(),
  responses: z.record(z.string(), z.unknown()),
});
const documentSchema = z.object({ paths: z.record(z.string(), z.record(z.string(), operation)) });

/** One operation of the API, as far as an attacker reads the document. */
export interface Operation {
  id: string;
  method: string;
  /** With its parameters in braces. */
  path: string;
  role: 'track' | 'admin' | undefined;
  parameters: readonly z.infer<typeof parameter>[];
  body: Schema | undefined;
  /** The statuses that the document says it has. */
  statuses: readonly number[];
}

/** Reads `/v1/openapi.json` of a running broker. */
export async function readOperations(url: string): Promise<Operation[]> {
  const document: unknown = await (await fetch(`${url}/v1/openapi.json`)).json();
  const { paths } = documentSchema.parse(resolveReferences(document, document));
  return Object.entries(paths).flatMap(([path, byMethod]) =>
    Object.entries(byMethod).map(
      ([method, { operationId, security = [], parameters, requestBody, responses }]) => ({
        id: operationId,
        method: method.toUpperCase(),
        path,
        role: security.some((each) => 'trackToken' in each)
          ? 'track'
          : security.length > 0
            ? 'admin'
            : undefined,
        parameters,
        body: requestBody?.content['application/json']?.schema,
        statuses: Object.keys(responses).map(Number),
      }),
    ),
  );
}

/** Every `{"$ref": "#/…"}` replaced by what it means; answers' schemas, which may refer to themselves, are left out. */
function resolveReferences(node: unknown, document: unknown): unknown {
  if (Array.isArray(node)) return node.map((each) => resolveReferences(each, document));
  if (typeof node !== 'object' || node === null) return node;
  if ('$ref' in node && typeof node.$ref === 'string')
    return resolveReferences(lookUp(node.$ref, document), document);
  return Object.fromEntries(
    Object.entries(node).map(([key, value]) => [
      key,
      key === 'responses' ? value : resolveReferences(value, document),
    ]),
  );
}

function lookUp(reference: string, document: unknown): unknown {
  return reference
    .split('/')
    .slice(1)
    .reduce<unknown>((node, key) => (node as Record<string, unknown>)[key], document);
}
