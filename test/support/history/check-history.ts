import type { History, Violation } from './history.ts';
import { createLeaseEnds } from './lease-ends.ts';
import { checkAnswers } from './rules/answer-rules.ts';
import { checkChains } from './rules/chain-rules.ts';
import { checkDeletes } from './rules/delete-rules.ts';
import { checkEnd } from './rules/end-rules.ts';
import { checkFit } from './rules/fit-rules.ts';
import { checkGone } from './rules/gone-rules.ts';
import { checkKept } from './rules/keep-rules.ts';
import { checkLine } from './rules/line-rules.ts';
import { checkTokens } from './rules/token-rules.ts';
import { buildTimeline, propagate } from './timeline.ts';

/**
 * Judges a whole history: every broken promise of which it is sure, none that could be otherwise. `history.ts` says
 * how a history is made. Empty: all that is recorded can have happened in one lawful order.
 */
export function checkHistory(history: History): Violation[] {
  const timeline = buildTimeline(history);
  const ends = createLeaseEnds(timeline, history);
  const chains = checkChains(timeline, history, ends);
  // Between contradictions there is no room for an event, and nothing can be said of what depends on it.
  if (chains.length > 0) return [...chains, ...checkEnd(timeline, history, ends)];
  propagate(timeline.chains);
  return [
    ...checkAnswers(timeline, history, ends),
    ...checkKept(timeline, history, ends),
    ...checkTokens(timeline, history),
    ...checkDeletes(timeline, history),
    ...checkGone(timeline, history),
    ...checkFit(timeline, history),
    ...checkLine(timeline, history),
    ...checkEnd(timeline, history, ends),
  ];
}
