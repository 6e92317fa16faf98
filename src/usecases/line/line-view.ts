import { type Forecast, type Place, rivalsOf, type Turn } from '../../domain/line.ts';
import type { Item } from '../../store/dynamo/documents.ts';
import type { LineStore } from '../../store/line/line.ts';
import { createLinePace } from './line-pace.ts';

/** Where a place stands. */
export interface Standing extends Turn {
  /** 1 is the head. */
  position: number;
  /** How many wait, this one included. */
  waiting: number;
}

/** What one look at the line has found: all places up to where it ended. */
export interface Look {
  /** Looks are counted as they begin. */
  number: number;
  atMs: number;
  places: readonly Place[];
  isWhole: boolean;
}

/** The line as this replica knows it, from looks that everybody here shares. */
export interface LineView {
  /** Reads the head of the line, or all of it. Throws `STORE_UNAVAILABLE`. */
  look(part: 'head' | 'whole'): Promise<Look>;
  /** All of it, as of a moment ago. */
  whole(): Promise<readonly Place[]>;
  /** Where a place stands, as of a moment ago; undefined: it is not in the line. */
  standing(ticket: string): Promise<Standing | undefined>;
  /** Where it stands by all that is known here; nothing is read. */
  lastStanding(ticket: string): Standing;
  /** The place of a key by one of the last looks: it may have been served since. */
  placeOf(keyPk: string): Place | undefined;
  /** All of it as of the last look at that. */
  readonly places: readonly Place[];
  /** How long the line is, as far as is known here. */
  length(): number;
  /** A place was taken here. */
  joined(place: Place): void;
  /** The key's place was served or removed here. */
  gone(keyPk: string): void;
  /** How far the line has gone forward of late. */
  served(): Forecast['served'];
  /** How many looks have begun. */
  readonly looks: number;
  /** How long ago the last look, and the last one at all of it, began, milliseconds. */
  readonly ageMs: { any: number; whole: number };
}

/** Where the place of this index stands. */
export const standingAt = (places: readonly Place[], index: number): Omit<Standing, 'waiting'> => ({
  position: index + 1,
  namePrefix: places[index]?.request.namePrefix,
  rivals: rivalsOf(places, index),
});

/** So many places are the head: one read. */
const HEAD = 128;
const FRESH_MS = 1_000;
/** What was seen longer ago says nothing of where a key's place may be. */
const KNOWN_MS = 15_000;

/** `onLook` is told of each look that has ended. */
export function createLineView(line: Pick<LineStore, 'page'>, onLook: (look: Look) => void): LineView {
  const pace = createLinePace();
  let looks = 0;
  let last: Look | undefined;
  let lastWhole: Look | undefined;
  let looking: Promise<Look> | undefined;
  /** Keys whose places went here, and when: a look that began earlier may still have them. */
  let goneAtMs = new Map<string, number>();

  const ageOf = (look: Look | undefined) => (look ? performance.now() - look.atMs : Number.POSITIVE_INFINITY);
  const known = () => [last, lastWhole].filter((look) => look !== undefined);

  async function look(part: 'head' | 'whole'): Promise<Look> {
    const number = ++looks;
    const atMs = performance.now();
    const found: Place[] = [];
    let after: Item | undefined;
    do {
      const page = await line.page(part === 'whole' ? { after } : { limit: HEAD });
      found.push(...page.places);
      after = page.after;
    } while (after && part === 'whole');
    pace.note(
      atMs,
      found.map(({ ticket }) => ticket),
    );
    const places = found.filter(({ keyPk }) => (goneAtMs.get(keyPk) ?? 0) < atMs);
    const seen: Look = { number, atMs, places, isWhole: after === undefined };
    goneAtMs = new Map([...goneAtMs].filter(([, goneMs]) => goneMs > atMs));
    if (ageOf(last) > ageOf(seen)) last = seen;
    if (seen.isWhole && ageOf(lastWhole) > ageOf(seen)) lastWhole = seen;
    onLook(seen);
    return seen;
  }

  function lookAtAll(): Promise<Look> {
    looking ??= look('whole').finally(() => {
      looking = undefined;
    });
    return looking;
  }

  /** Changes what is known, without a look. */
  function revise(change: (look: Look) => readonly Place[]): void {
    const revised = (look: Look | undefined) => look && { ...look, places: change(look) };
    const isSame = last === lastWhole;
    last = revised(last);
    lastWhole = isSame ? last : revised(lastWhole);
  }

  const lengthOf = (look: Look) =>
    look.isWhole ? look.places.length : Math.max(look.places.length, lastWhole?.places.length ?? 0);

  function standingIn(look: Look, ticket: string): Standing | undefined {
    const index = look.places.findIndex((place) => place.ticket === ticket);
    return index < 0 ? undefined : { ...standingAt(look.places, index), waiting: lengthOf(look) };
  }

  return {
    look,
    async whole() {
      return (lastWhole && ageOf(lastWhole) < FRESH_MS ? lastWhole : await lookAtAll()).places;
    },

    async standing(ticket) {
      for (const fresh of known()) {
        const standing = ageOf(fresh) < FRESH_MS && standingIn(fresh, ticket);
        if (standing) return standing;
      }
      return standingIn(await lookAtAll(), ticket);
    },

    lastStanding(ticket) {
      for (const old of known()) {
        const standing = standingIn(old, ticket);
        if (standing) return standing;
      }
      const length = (lastWhole?.places.length ?? 0) + 1;
      return { position: length, waiting: length, rivals: length - 1 };
    },

    placeOf(keyPk) {
      const recent = known().filter((look) => ageOf(look) < KNOWN_MS);
      return recent.flatMap(({ places }) => places.find((place) => place.keyPk === keyPk) ?? [])[0];
    },

    get places() {
      return lastWhole?.places ?? [];
    },

    length: () => lastWhole?.places.length ?? 0,

    joined(place) {
      revise(({ places, isWhole }) => {
        // Behind nearly all of them, as a rule.
        const at = places.findLastIndex(({ ticket }) => ticket < place.ticket) + 1;
        return at === places.length && !isWhole ? places : places.toSpliced(at, 0, place);
      });
    },

    gone(keyPk) {
      goneAtMs.set(keyPk, performance.now());
      revise(({ places }) => places.filter((place) => place.keyPk !== keyPk));
    },

    served: pace.served,

    get looks() {
      return looks;
    },

    get ageMs() {
      return { any: ageOf(last), whole: ageOf(lastWhole) };
    },
  };
}
