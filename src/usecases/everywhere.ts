import type { Page, Place } from '../store/sandboxes/reads.ts';

/** Records that are read at once: whoever else calls waits no longer than it takes to look at so many. */
const PAGE = 250;

/** Every record that `read` pages through, over all buckets, one page in memory at a time. */
export async function* everywhere<Each>(
  buckets: number,
  read: (place: Place & { limit: number }) => Promise<Page<Each>>,
): AsyncGenerator<Each, void, void> {
  for (let bucket = 0; bucket < buckets; bucket++) {
    let after: Page['after'];
    do {
      const page = await read({ bucket, after, limit: PAGE });
      yield* page.sandboxes;
      after = page.after;
    } while (after);
  }
}
