import { latest } from '../latest.ts';

/** What is asked for as a whole, and told of bit by bit. */
export interface ToldWhole<News> {
  /** Asks for all of it again: whatever was asked before is nobody's any more. */
  load(): void;
  /** A bit more of it. */
  tell(news: News): void;
}

interface ToldWholeOptions<Whole, News> {
  ask: (signal: AbortSignal) => Promise<Whole>;
  add: (whole: Whole, news: News) => Whole;
  onWhole: (whole: Whole) => void;
  onError: (error: unknown) => void;
  /** Fires when nobody looks any more. */
  signal: AbortSignal;
}

/**
 * Keeps a whole up to date, in the order in which things happened: the answer to the last question counts, whichever
 * comes last, and what was told while it was under way is in it.
 */
export function toldWhole<Whole, News>(options: ToldWholeOptions<Whole, News>): ToldWhole<News> {
  const { add, onWhole, onError } = options;
  let whole: Whole | undefined;
  let asking: AbortController | undefined;
  let toldMeanwhile: News[] = [];

  const show = (next: Whole) => {
    whole = next;
    onWhole(next);
  };

  return {
    load() {
      asking?.abort();
      const mine = new AbortController();
      asking = mine;
      toldMeanwhile = [];
      const signal = AbortSignal.any([mine.signal, options.signal]);
      const answered = (answer: Whole) => {
        asking = undefined;
        show(toldMeanwhile.reduce(add, answer));
      };
      const failed = (error: unknown) => {
        asking = undefined;
        onError(error);
      };
      latest(signal, options.ask(signal), answered, failed);
    },
    tell(news) {
      if (asking) toldMeanwhile.push(news);
      if (whole !== undefined) show(add(whole, news));
    },
  };
}
