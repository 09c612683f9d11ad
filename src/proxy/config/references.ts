/** Certificate and key, or a trust bundle, in PEM. */
export type Secret =
  | { readonly kind: 'certificate'; readonly chain: Buffer; readonly key: Buffer }
  | { readonly kind: 'trust'; readonly roots: Buffer };

/** What a resource needs besides itself; filled while it is compiled. */
export interface References {
  /** Names to ask for by SDS. */
  readonly secrets: Set<string>;
  /** Material that came inline, under made-up names. */
  readonly inlineSecrets: Map<string, Secret>;
  /** Names to ask for by RDS. */
  readonly routes: Set<string>;
}

export const noReferences = (): References => ({ secrets: new Set(), inlineSecrets: new Map(), routes: new Set() });
