import type { Job } from '../../api/types/jobs.ts';
import { countsText } from '../../console/page/wording.ts';

/** What became of a job, in words; undefined while nobody knows. */
export function endingOf({ error, result, dry_run: isDry }: Job): string | undefined {
  if (error !== undefined) return error.message;
  if (result === undefined) return undefined;
  const { duration_ms: ms, ...counts } = result;
  return `${isDry ? 'dry run: ' : ''}${countsText(counts)}${ms === undefined ? '' : ` in ${Math.round(ms)} ms`}`;
}
