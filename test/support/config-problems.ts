import { ConfigError, type Environment, loadConfig } from '../../src/config/index.ts';

/** Every problem that stops a start with this environment. */
export function problemsOf(env: Environment): readonly string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}
