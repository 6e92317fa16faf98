import { checkAnswers } from './answer-rules.ts';
import { checkChains } from './chain-rules.ts';
import { checkDeletes } from './delete-rules.ts';
import { checkEnd } from './end-rules.ts';
import { checkFit } from './fit-rules.ts';
import { checkGone } from './gone-rules.ts';
import type { History, Violation } from './history.ts';
import { checkLine } from './line-rules.ts';
import { buildTimeline, propagate } from './timeline.ts';

/**
 * Judges a whole history: every broken promise of which it is sure, none that could be otherwise. `history.ts` says
 * how a history is made. Empty: all that is recorded can have happened in one lawful order.
 */
export function checkHistory(history: History): Violation[] {
  const timeline = buildTimeline(history);
  const chains = checkChains(timeline, history);
  // Between contradictions there is no room for an event, and nothing can be said of what depends on it.
  if (chains.length > 0) return [...chains, ...checkEnd(timeline, history)];
  propagate(timeline.chains);
  return [
    ...checkAnswers(timeline, history),
    ...checkDeletes(timeline, history),
    ...checkGone(timeline, history),
    ...checkFit(timeline, history),
    ...checkLine(timeline, history),
    ...checkEnd(timeline, history),
  ];
}
