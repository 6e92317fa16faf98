import { createLiveFeed, type LiveOptions, type LiveSources } from '../live/live-feed.ts';
import { createTicker } from '../loops/ticker.ts';

export type Live = ReturnType<typeof composeLive>;

/** What the console lives on; nothing runs before `start()`. */
export function composeLive(options: LiveOptions) {
  const feed = createLiveFeed(options);
  return {
    ...feed,
    connect(sources: LiveSources) {
      const { routes, sample, chores, onChoreError } = feed.connect(sources);
      const tickers = chores.map(({ intervalMs, run }) => createTicker(intervalMs, run, onChoreError));
      return {
        routes,
        start() {
          sample();
          for (const ticker of tickers) ticker.start();
        },
        async stop() {
          await Promise.all(tickers.map((ticker) => ticker.stop()));
        },
      };
    },
  };
}
