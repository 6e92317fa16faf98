export type EngineErrorCode =
  | 'ENGINE_MISSING'
  | 'ENGINE_FILE_UNUSABLE'
  | 'ENGINE_FILE_IN_USE'
  | 'ENGINE_FAILED';

/** Why the embedded engine cannot run. The message is one sentence for the person who starts the broker. */
export class EngineError extends Error {
  readonly code: EngineErrorCode;

  constructor(code: EngineErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'EngineError';
    this.code = code;
  }
}
