/**
 * A map of bounded size, from the key that was set longest ago to the one set last: past `maxKeys` the first one is
 * forgotten. Throws a `RangeError` for a size that is not a whole number >= 1.
 */
export class BoundedMap<Key, Value> extends Map<Key, Value> {
  readonly #maxKeys: number;

  constructor(maxKeys: number) {
    if (!Number.isSafeInteger(maxKeys) || maxKeys < 1) {
      throw new RangeError(`maxKeys must be a whole number >= 1, not ${maxKeys}`);
    }
    super();
    this.#maxKeys = maxKeys;
  }

  override set(key: Key, value: Value): this {
    // A Map keeps the order of insertion: taking a key out and putting it back makes it the last.
    this.delete(key);
    super.set(key, value);
    if (this.size > this.#maxKeys) this.#forgetFirst();
    return this;
  }

  #forgetFirst(): void {
    const { value, done } = this.keys().next();
    if (!done) this.delete(value);
  }
}
