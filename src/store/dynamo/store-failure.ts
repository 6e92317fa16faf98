import { StoreUnavailableError } from '../../domain/errors.ts';

/** Nothing to sign calls to the store with: the SDK's chain of providers found no credentials, or failed. */
export class CredentialsError extends Error {
  override readonly name = 'CredentialsError';
}

/** How the store says that it does not take what a call was signed with: a key that was rotated, revoked, or is wrong. */
const REFUSED_SIGNATURES = new Set([
  'ExpiredTokenException',
  'IncompleteSignature',
  'InvalidSignatureException',
  'MissingAuthenticationTokenException',
  'UnrecognizedClientException',
]);

export const isRefusedSignature = (error: unknown): error is Error =>
  error instanceof Error && REFUSED_SIGNATURES.has(error.name);

/** What whoever starts the broker can do about a store that cannot be used, in a sentence; undefined for other failures. */
export function explainStoreFailure(error: unknown): string | undefined {
  if (error instanceof Error && error.name === 'AccessDeniedException') {
    return 'The store denies a call (AccessDeniedException): the broker needs the rights of deploy/aws/iam-policy.json.';
  }
  if (!(error instanceof StoreUnavailableError)) return undefined;
  if (error.cause instanceof CredentialsError) {
    return 'There are no credentials to sign in to the store with: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give this machine a role; for an endpoint that is not AWS, SANDBOX_DB_URL=https://key:secret@host:port.';
  }
  if (isRefusedSignature(error.cause)) {
    return `The store does not take these credentials (${error.cause.name}): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or the role, whichever is in use.`;
  }
  return 'The store does not answer: check SANDBOX_DB_URL (or DDB_ENDPOINT_URL, AWS_REGION) and the network.';
}
