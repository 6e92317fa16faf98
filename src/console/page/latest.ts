/**
 * Hands an answer on unless another question was asked meanwhile: `signal` fires then, and whatever comes of this one,
 * however late, is nobody's any more.
 */
export function latest<Answer>(
  signal: AbortSignal,
  asked: Promise<Answer>,
  onAnswer: (answer: Answer) => void,
  onError: (error: unknown) => void,
): void {
  void asked.then(
    (answer) => {
      if (!signal.aborted) onAnswer(answer);
    },
    (error: unknown) => {
      if (!signal.aborted) onError(error);
    },
  );
}
