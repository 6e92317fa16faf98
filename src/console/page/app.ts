import { useMemo, useState } from 'preact/hooks';
import { createApi, explain } from './broker/api.ts';
import type { SessionRecord } from './broker/records.ts';
import { rememberedToken, rememberToken } from './broker/session.ts';
import { Console } from './console.ts';
import { html } from './html.ts';
import { Login } from './panels/login.ts';

/** The log-in, or the console. */
export function App() {
  const [token, setToken] = useState(rememberedToken());
  const [session, setSession] = useState<SessionRecord | undefined>();
  const [message, setMessage] = useState<string | undefined>();
  const api = useMemo(() => {
    if (token === undefined) return undefined;
    return createApi(token, (error) => leave(explain(error)));
  }, [token]);

  function leave(why?: string): void {
    rememberToken(undefined);
    setToken(undefined);
    setSession(undefined);
    setMessage(why);
  }

  function enter(given: string, known: SessionRecord): void {
    rememberToken(given);
    setMessage(undefined);
    setSession(known);
    setToken(given);
  }

  if (api !== undefined && session !== undefined) {
    return html`<${Console} api=${api} session=${session} onLeave=${() => leave()} />`;
  }
  return html`<${Login} remembered=${token} message=${message} onEnter=${enter} onForget=${() => leave()} />`;
}
