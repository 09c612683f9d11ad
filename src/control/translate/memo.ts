/**
 * What was made of something, kept for as long as all that it was made of is the same. Snapshots hand unchanged parts on by identity, so
 * that a change costs what it touches, and proxies of different scopes share the messages that do not depend on the scope.
 */
export class Memo<T> {
  readonly #byOwner = new WeakMap<object, Map<string, { parts: readonly unknown[]; made: T }>>();

  /**
   * @param owner lives as long as what is kept
   * @param variant of one owner's; a small set, since each is kept
   * @param parts everything else that `make` reads, compared by identity
   */
  get(owner: object, variant: string, parts: readonly unknown[], make: () => T): T {
    let variants = this.#byOwner.get(owner);
    if (!variants) {
      variants = new Map();
      this.#byOwner.set(owner, variants);
    }
    const known = variants.get(variant);
    if (known && known.parts.length === parts.length && known.parts.every((part, i) => part === parts[i]))
      return known.made;
    const made = make();
    variants.set(variant, { parts, made });
    return made;
  }
}
