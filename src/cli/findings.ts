/** What the doctor found about one thing. */
export interface Finding {
  name: string;
  status: 'ok' | 'warning' | 'error';
  /** What is so and, where it should not be, how to mend it. */
  message: string;
}

export const ok = (name: string, message: string): Finding => ({ name, status: 'ok', message });
export const warn = (name: string, message: string): Finding => ({ name, status: 'warning', message });
export const bad = (name: string, message: string): Finding => ({ name, status: 'error', message });
