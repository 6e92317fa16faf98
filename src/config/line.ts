import type { z } from 'zod';
import { onOff, variable, whole } from './values.ts';

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
  EXTEND_WHILE_WAITING: variable(
    onOff,
    'true',
    'whether a lease may be extended while somebody waits in the line for a sandbox like it',
  ),
};

export interface LineConfig {
  line: {
    patienceSeconds: number;
    claimSeconds: number;
    maxPlaces: number;
    /** A lease may be extended while somebody waits for a sandbox like it. */
    extendWhileWaiting: boolean;
  };
}

type Values = z.output<z.ZodObject<typeof LINE_VARIABLES>>;

export const readLine = (values: Values): LineConfig => ({
  line: {
    patienceSeconds: values.LINE_PATIENCE_SEC,
    claimSeconds: values.LINE_CLAIM_SEC,
    maxPlaces: values.LINE_MAX,
    extendWhileWaiting: values.EXTEND_WHILE_WAITING,
  },
});
