/** Certificate and key, or a trust bundle, in PEM. */
export type Secret =
  | { readonly kind: 'certificate'; readonly chain: Buffer; readonly key: Buffer }
  /** `crl`: the certificates that were revoked; every issuer of a chain must then have a list. */
  | { readonly kind: 'trust'; readonly roots: Buffer; readonly crl?: Buffer };

/** What a resource needs besides itself; filled while it is compiled. */
export interface References {
  /** Names to ask for by SDS. */
  readonly secrets: Set<string>;
  /** Material that came inline, under made-up names. */
  readonly inlineSecrets: Map<string, Secret>;
  /** Names to ask for by RDS. */
  readonly routes: Set<string>;
  /** How long all of them may take, milliseconds; null when nothing is said of it. */
  fetchTimeoutMs: number | null;
}

export const noReferences = (): References => ({
  secrets: new Set(),
  inlineSecrets: new Map(),
  routes: new Set(),
  fetchTimeoutMs: null,
});

export const trustOf = (roots: Buffer, crl: Buffer): Secret =>
  crl.length === 0 ? { kind: 'trust', roots } : { kind: 'trust', roots, crl };
