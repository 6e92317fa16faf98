/** Whether what is done can be undone. */
export type Reversibility = 'irreversible' | 'reversible';

/** Every action there is, and its class. Its names become part of the types: another one does not compile. */
export type Actions<A extends string = string> = Readonly<Record<A, Reversibility>>;

/** Throws a `RangeError` for an action that nobody has classified: a name may come from outside of the types. */
export function isIrreversible<A extends string>(actions: Actions<A>, action: A): boolean {
  if (!Object.hasOwn(actions, action)) throw new RangeError(`there is no action ${action}`);
  return actions[action] !== 'reversible';
}
