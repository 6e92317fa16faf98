import type { InLine } from '../../client/index.ts';

/** To the line's beginning; what is behind the new text is cleared. */
const BEGINNING = '\r';
const TO_LINE_END = '\u001b[K';

/** One line that tells where somebody stands, on standard error where that is a terminal; nothing anywhere else. */
export function createPlaceLine(): { tell(place: InLine): void; end(): void } {
  const { stderr } = process;
  const write = (text: string) => {
    if (stderr.isTTY) stderr.write(`${BEGINNING}${text}${TO_LINE_END}`);
  };
  let isTold = false;
  return {
    tell(place) {
      isTold = true;
      write(placeWords(place));
    },
    end: () => {
      if (isTold) write('');
    },
  };
}

const placeWords = ({ position, waiting, eta_seconds: eta }: InLine): string =>
  `waiting: place ${position} of ${waiting}${eta === null ? '' : `, about ${inWords(eta)}`}`;

const HOUR_SECONDS = 3_600;

/** A time as roughly as an estimate is. */
export function inWords(seconds: number): string {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < HOUR_SECONDS) return `${Math.ceil(seconds / 60)} min`;
  return `${(seconds / HOUR_SECONDS).toFixed(1)} h`;
}
