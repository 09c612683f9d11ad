/** Key sets (RFC 7517) and what tokens they verify. */
import type { CryptoKey, JWK } from 'jose';
import type { JwtKeySource } from '../../config/table.ts';
import { output } from '../../net/output.ts';
import { internalFields, SideCall } from '../../upstream/side-call.ts';
import type { Plane } from '../plane.ts';
import { type JwtStatus, jwtStatus, type ParsedToken } from './jwt-token.ts';

interface Key {
  readonly jwk: JWK;
  /** Imported for each algorithm that a token came with. */
  readonly imported: Map<string, CryptoKey | Uint8Array>;
}

/** Key types and curves by algorithm (RFC 7518 §3.1, RFC 8037 §3.1). */
const curves: Readonly<Record<string, string>> = { ES256: 'P-256', ES384: 'P-384', ES512: 'P-521' };

function fits({ kty, crv }: JWK, alg: string): boolean {
  if (alg.startsWith('ES')) return kty === 'EC' && (crv === undefined || crv === curves[alg]);
  if (alg === 'EdDSA') return kty === 'OKP' && crv === 'Ed25519';
  return kty === (alg.startsWith('HS') ? 'oct' : 'RSA');
}

export class KeySet {
  readonly #keys: readonly Key[];

  /** `text` is a JWK set in JSON; keys that cannot be used are left out. Throws when it is no such set. */
  constructor(text: string) {
    const parsed = JSON.parse(text) as { keys?: unknown };
    if (!Array.isArray(parsed?.keys)) throw new Error('has no list "keys"');
    this.#keys = parsed.keys
      .filter((jwk) => typeof jwk === 'object' && jwk !== null && typeof jwk.kty === 'string')
      .map((jwk) => ({ jwk, imported: new Map() }));
  }

  get empty(): boolean {
    return this.#keys.length === 0;
  }

  /** OK when one of the keys that fit by kid and alg has signed it (jwt_verify_lib: verify.cc). */
  async verify(token: ParsedToken): Promise<JwtStatus> {
    if (this.empty) return jwtStatus.noKeys;
    const { compactVerify } = await import('jose');
    let fitting = false;
    for (const key of this.#keys) {
      const { jwk } = key;
      if (token.kid !== '' && jwk.kid !== undefined && jwk.kid !== token.kid) continue;
      if (jwk.alg !== undefined && jwk.alg !== token.alg) continue;
      fitting = true;
      if (!fits(jwk, token.alg)) continue;
      try {
        await compactVerify(token.text, await imported(key, token.alg), { algorithms: [token.alg] });
        return jwtStatus.ok;
      } catch {
        // Another key may have signed it.
      }
    }
    return fitting ? jwtStatus.verification : jwtStatus.noMatchingKey;
  }
}

async function imported(key: Key, alg: string): Promise<CryptoKey | Uint8Array> {
  let found = key.imported.get(alg);
  if (found === undefined) {
    const { importJWK } = await import('jose');
    // `use`, `key_ops` and `ext` are no concern of Envoy's.
    const { use, key_ops, ext, ...jwk } = key.jwk;
    found = await importJWK(jwk, alg);
    key.imported.set(alg, found);
  }
  return found;
}

type Remote = Extract<JwtKeySource, { kind: 'remote' }>;

interface Held {
  keys: KeySet | null;
  expiresTick: number;
  fetching: Promise<KeySet | null> | null;
}

const maxSets = 1000;
const maxSetBytes = 1 << 20;

/** Counted as `http.PREFIX.jwt_authn.jwks_fetch_*`. */
export interface FetchCounts {
  fetched(ok: boolean): void;
}

/** The key sets of one thread. Remote ones are fetched when they are first needed, and again when they are outdated. */
export class KeySets {
  readonly #local = new WeakMap<JwtKeySource, KeySet>();
  readonly #remote = new Map<string, Held>();

  /** What is here now; null when it has to be waited for. */
  current(source: JwtKeySource): KeySet | null {
    if (source.kind === 'local') return this.#localSet(source);
    const held = this.#remote.get(keyOf(source));
    if (held === undefined || held.keys === null) return null;
    return held.expiresTick > output.tick || source.refreshesBehind ? held.keys : null;
  }

  /** Whether what `current` gives is to be fetched anew behind the requests' backs. */
  outdated(source: JwtKeySource): boolean {
    if (source.kind === 'local' || !source.refreshesBehind) return false;
    const held = this.#remote.get(keyOf(source));
    return held !== undefined && held.expiresTick <= output.tick;
  }

  #localSet(source: Extract<JwtKeySource, { kind: 'local' }>): KeySet {
    let set = this.#local.get(source);
    if (set === undefined) {
      set = new KeySet(source.jwks);
      this.#local.set(source, set);
    }
    return set;
  }

  /** Null when it cannot be had; requests that ask at once share the answer. */
  fetch(plane: Plane, source: JwtKeySource, counts: FetchCounts): Promise<KeySet | null> {
    if (source.kind === 'local') return Promise.resolve(this.#localSet(source));
    const key = keyOf(source);
    let held = this.#remote.get(key);
    if (held === undefined) {
      if (this.#remote.size >= maxSets) this.#remote.delete(this.#remote.keys().next().value!);
      held = { keys: null, expiresTick: 0, fetching: null };
      this.#remote.set(key, held);
    }
    held.fetching ??= this.#fetch(plane, source, held, counts);
    return held.fetching;
  }

  async #fetch(plane: Plane, source: Remote, held: Held, counts: FetchCounts): Promise<KeySet | null> {
    let keys: KeySet | null = null;
    for (let tries = 0; keys === null && tries <= source.retries; tries++) keys = await download(plane, source);
    counts.fetched(keys !== null);
    if (keys !== null) {
      held.keys = keys;
      held.expiresTick = performance.now() + source.cacheMs;
    }
    held.fetching = null;
    return keys;
  }
}

const keyOf = ({ cluster, authority, path }: Remote): string => `${cluster} ${authority}${path}`;

function download(plane: Plane, { cluster, authority, path, timeoutMs }: Remote): Promise<KeySet | null> {
  return new Promise((resolve) => {
    output.turn(() =>
      new SideCall(
        {
          method: 'GET',
          authority,
          path,
          fields: internalFields(timeoutMs),
          body: null,
          timeoutMs,
          maxBodyBytes: maxSetBytes,
        },
        (answer) => {
          if (answer === null || answer.status !== 200) {
            resolve(null);
            return;
          }
          try {
            resolve(new KeySet(answer.body.toString()));
          } catch {
            resolve(null);
          }
        },
      ).start(plane.pool(cluster)),
    );
  });
}
