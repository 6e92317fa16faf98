import type { z } from 'zod';
import { variable, whole } from './values.ts';

const DAY_SECONDS = 86_400;

/** The variables of the line, in the order of `.env.example`. */
export const LINE_VARIABLES = {
  LINE_PATIENCE_SEC: variable(
    whole(10, DAY_SECONDS),
    '60',
    "how long a place in the line is kept after the end of its caller's last call, seconds",
  ),
  LINE_CLAIM_SEC: variable(
    whole(10, DAY_SECONDS),
    '60',
    'how long a sandbox is kept for a caller whose turn came while it was not calling, seconds; then the next one gets it',
  ),
  LINE_MAX: variable(whole(1, 100_000), '10000', 'how many may wait in the line; more are refused'),
};

export interface LineConfig {
  line: {
    patienceSeconds: number;
    claimSeconds: number;
    maxPlaces: number;
  };
}

type Values = z.output<z.ZodObject<typeof LINE_VARIABLES>>;

export const readLine = (values: Values): LineConfig => ({
  line: {
    patienceSeconds: values.LINE_PATIENCE_SEC,
    claimSeconds: values.LINE_CLAIM_SEC,
    maxPlaces: values.LINE_MAX,
  },
});
