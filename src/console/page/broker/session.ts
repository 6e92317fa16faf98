const TOKEN = 'sandbox-broker.token';
const READ_ONLY = 'sandbox-broker.read-only';

/** The token of this tab. It ends with the tab, and no other page of the browser can read it. */
export const rememberedToken = (): string | undefined => sessionStorage.getItem(TOKEN) ?? undefined;

export function rememberToken(token: string | undefined): void {
  if (token === undefined) sessionStorage.removeItem(TOKEN);
  else sessionStorage.setItem(TOKEN, token);
}

/** Whether this tab was told to show no actions. */
export const rememberedReadOnly = (): boolean => sessionStorage.getItem(READ_ONLY) === 'true';

export const rememberReadOnly = (readOnly: boolean): void =>
  sessionStorage.setItem(READ_ONLY, String(readOnly));
