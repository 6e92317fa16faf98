import type { Place } from '../../domain/line.ts';
import type { LinePage, LineStore } from '../../store/line/line.ts';

/** Every place, from the head on, a page at a time in memory. */
export async function* everyPlace(
  line: Pick<LineStore, 'page'>,
  signal?: AbortSignal,
): AsyncGenerator<Place, void, void> {
  let after: LinePage['after'];
  do {
    const page = await line.page({ after }, signal);
    yield* page.places;
    after = page.after;
  } while (after);
}
