import type { Page, Place } from '../store/sandboxes/reads.ts';

/** Every record that `read` pages through, over all buckets, one page in memory at a time. */
export async function* everywhere<Each>(
  buckets: number,
  read: (place: Place) => Promise<Page<Each>>,
): AsyncGenerator<Each, void, void> {
  for (let bucket = 0; bucket < buckets; bucket++) {
    let after: Page['after'];
    do {
      const page = await read({ bucket, after });
      yield* page.sandboxes;
      after = page.after;
    } while (after);
  }
}
