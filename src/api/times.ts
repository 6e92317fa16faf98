import { z } from 'zod';

/** A time in an answer. */
export const epochSeconds = (description: string) => z.int().describe(`${description}, epoch seconds.`);

/** Epoch milliseconds as the API has them: whole seconds. */
export const seconds = (epochMs: number): number => Math.floor(epochMs / 1000);
