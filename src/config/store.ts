import { unescape as unescapeText } from 'node:querystring';

/** AWS credentials that came with an endpoint's URL. */
export interface StaticCredentials {
  accessKeyId: string;
  secretAccessKey: string;
}

export type StoreConfig =
  /** The bundled engine; without a file nothing is kept. */
  | { kind: 'embedded'; file: string | undefined }
  /** Any DynamoDB-compatible endpoint; without credentials the SDK's default chain is asked. */
  | { kind: 'endpoint'; url: string; region: string; credentials: StaticCredentials | undefined }
  | { kind: 'aws'; region: string };

/** The values of the variables that choose the store. */
export interface StoreValues {
  SANDBOX_DB_URL?: string | undefined;
  SANDBOX_USE_MEMORY_DB: boolean;
  DDB_ENDPOINT_URL?: string | undefined;
  AWS_REGION?: string | undefined;
}

const DEFAULT_URL = 'embedded:./data/sandbox-broker.db';
/** An endpoint that is not AWS does not care, but the SDK has to sign for some region. */
const ANY_REGION = 'us-east-1';

/**
 * Hides a URL's credentials, and too much rather than too little: a secret with an unescaped slash in it makes the URL
 * invalid, and is still a secret.
 */
export const maskUrl = (url: string): string => url.replace(/\/\/.*@/, '//***@');

/**
 * The store the variables choose, and what is wrong with the choice. Several variables may say the same; two different
 * answers are a problem. `AWS_REGION` is often there for other reasons: alone it selects AWS, beside an answer that is
 * not AWS it only names the region to sign for.
 */
export function chooseStore(values: StoreValues): { store: StoreConfig; problems: string[] } {
  const region = values.AWS_REGION;
  const answers: { said: string; store: StoreConfig }[] = [];
  for (const name of ['SANDBOX_DB_URL', 'DDB_ENDPOINT_URL'] as const) {
    const url = values[name];
    if (url !== undefined) answers.push({ said: `${name}=${maskUrl(url)}`, store: parse(url, region) });
  }
  if (values.SANDBOX_USE_MEMORY_DB) {
    answers.push({ said: 'SANDBOX_USE_MEMORY_DB=true', store: parse('memory:', region) });
  }
  if (region !== undefined && answers.every(({ store }) => store.kind === 'aws')) {
    answers.push({ said: `AWS_REGION=${region}`, store: { kind: 'aws', region } });
  }

  const store = answers[0]?.store ?? parse(DEFAULT_URL, region);
  const contradicted = answers.some((answer) => JSON.stringify(answer.store) !== JSON.stringify(store));
  const said = answers.map((answer) => answer.said).join(' and ');
  return { store, problems: contradicted ? [`${said} name different stores: keep one of them.`] : [] };
}

/**
 * What production refuses of a store. A database file of one machine has to be asked for by name; one that forgets
 * everything at the next start is never right.
 */
export function refuseStoreInProduction(values: StoreValues, store: StoreConfig): string[] {
  if (store.kind !== 'embedded') return [];
  if (store.file === undefined) {
    return [
      'A store in memory is refused in production: SANDBOX_DB_URL must name one that keeps what it is given.',
    ];
  }
  if (values.SANDBOX_DB_URL !== undefined) return [];
  return [
    'SANDBOX_DB_URL is not set and must name the store in production: dynamodb://<region>, an endpoint, or embedded:<file> if the bundled engine is really meant.',
  ];
}

function parse(text: string, region: string | undefined): StoreConfig {
  if (text === 'memory:') return { kind: 'embedded', file: undefined };
  if (text.startsWith('embedded:')) return { kind: 'embedded', file: text.slice('embedded:'.length) };
  const url = new URL(text);
  if (url.protocol === 'dynamodb:') return { kind: 'aws', region: url.host };
  const credentials =
    url.username === ''
      ? undefined
      : { accessKeyId: unescapeText(url.username), secretAccessKey: unescapeText(url.password) };
  return { kind: 'endpoint', url: url.origin, region: region ?? ANY_REGION, credentials };
}
