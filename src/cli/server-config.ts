import { ConfigError, loadConfig } from '../config/index.ts';
import { environment } from './environment.ts';
import { usageError } from './exit-codes.ts';

/** The server's own configuration, for what works on the store itself. */
export function serverConfig() {
  try {
    return loadConfig(environment());
  } catch (error) {
    if (error instanceof ConfigError) throw usageError(error.message);
    throw error;
  }
}
