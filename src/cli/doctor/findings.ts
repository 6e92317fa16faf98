/** What the doctor found about one thing. */
export interface Finding {
  name: string;
  status: 'ok' | 'warning' | 'error';
  /** What is so and, where it should not be, how to mend it. */
  message: string;
}

export const ok = (name: string, message: string): Finding => ({ name, status: 'ok', message });
export const warn = (name: string, message: string): Finding => ({ name, status: 'warning', message });
export const bad = (name: string, message: string): Finding => ({ name, status: 'error', message });

/** How to mend a provider whose calls fail with this kind of error. */
export function adviceFor(kind: string): string {
  switch (kind) {
    case 'unauthorized':
      return 'check CSP_API_TOKEN and its rights';
    case 'rejected':
      return 'check that CSP_BASE_URL and CSP_API_TOKEN belong together';
    case 'bad_response':
      return 'check that CSP_BASE_URL is the address of its API';
    case 'shrink_guard':
      return 'ask the provider whether its inventory is whole, then run sandbox-broker sync --force';
    case 'store_unavailable':
      return 'check the store';
    case 'internal':
      return 'the log says more';
    default:
      return 'check CSP_BASE_URL and the network';
  }
}
