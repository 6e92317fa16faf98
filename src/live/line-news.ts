import type { LiveEvent } from './event-hub.ts';

/** The line as it is told to who looks at it. */
export interface KnownLine<Place> {
  places: readonly Place[];
  /** How many wait in all. */
  waiting: number;
}

export interface LineNewsOptions<Place> {
  /** The first of the line as it is known here, from memory. */
  known: () => Promise<KnownLine<Place>>;
  /** The line is to be looked at, once. */
  wake: () => void;
  /** How many are there to be told. */
  listeners: () => number;
  announce: (event: LiveEvent) => void;
  /** What is told of it; what is shown apart does not make it news. */
  record: (line: KnownLine<Place>) => { data: unknown; news: unknown };
}

/** While nobody waits here, this replica learns of the line by a look every so many ticks. */
const LOOK_EVERY = 15;
const REPEAT_EVERY = 5;

/** Tells of the line whenever it has changed, and of what is expected of it now and then. Reads nothing for nobody. */
export function createLineNews<Place>(options: LineNewsOptions<Place>) {
  let ticks = 0;
  let toldTo = 0;
  let last: { text: string; tick: number; event: LiveEvent } | undefined;

  return {
    /** What was told last. */
    last: (): LiveEvent | undefined => last?.event,

    async tick(): Promise<void> {
      const isSomebodyNew = options.listeners() > toldTo;
      toldTo = options.listeners();
      if (toldTo === 0) return;
      if (isSomebodyNew || ticks % LOOK_EVERY === 0) options.wake();
      ticks++;
      const { data, news } = options.record(await options.known());
      const text = JSON.stringify(news);
      if (text === last?.text && ticks - last.tick < REPEAT_EVERY) return;
      last = { text, tick: ticks, event: { type: 'line', data } };
      options.announce(last.event);
    },
  };
}
