/** One key for all attempts of a call: an operator's order is carried out once. */
export const onceOnly = () => ({ 'idempotency-key': crypto.randomUUID() });
