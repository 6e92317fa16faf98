/** What may be wrong with a call to the provider. */
export const PROVIDER_ERROR_KINDS = [
  'timeout',
  'network',
  'rate_limited',
  'unauthorized',
  'rejected',
  'server_error',
  'bad_response',
  'aborted',
] as const;

/**
 * `rate_limited` is a 429, and any 4xx that says when to come again; `unauthorized` is a 401 or 403, `rejected` any other
 * 4xx but 404-on-delete; `bad_response` is an answer that is not what it should be.
 */
export type ProviderErrorKind = (typeof PROVIDER_ERROR_KINDS)[number];
