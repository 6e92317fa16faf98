/** A variable that is set, that the broker does not know, and that is nearly one it does. */
export interface Misspelt {
  name: string;
  meant: string;
}

/**
 * What is set under a name that is one edit away from a known one (a letter too many, too few, another, or two in each
 * other's place, upper and lower case aside): most likely a mistake, of which nothing else would tell.
 */
export function findMisspelt(
  env: Readonly<Record<string, string | undefined>>,
  known: readonly string[],
): Misspelt[] {
  return Object.keys(env)
    .filter((name) => !known.includes(name) && env[name]?.trim())
    .flatMap((name) => {
      const meant = known.find((each) => isOneEditAway(name.toUpperCase(), each));
      return meant === undefined ? [] : [{ name, meant }];
    });
}

/** Also true for two that are the same. */
function isOneEditAway(one: string, other: string): boolean {
  let start = 0;
  while (start < one.length && one[start] === other[start]) start++;
  const [a, b] = [one.slice(start), other.slice(start)];
  const isSwapped = a[0] === b[1] && a[1] === b[0] && a.slice(2) === b.slice(2);
  return a.slice(1) === b || a === b.slice(1) || a.slice(1) === b.slice(1) || isSwapped;
}
