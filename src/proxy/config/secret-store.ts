import { X509Certificate } from 'node:crypto';
import { alternativeNames } from '../net/identity.ts';
import type { SecretRequest, Secrets } from '../net/secrets.ts';
import { TlsContext, type TlsContextOptions } from '../openssl/context.ts';
import type { Secret } from './references.ts';
import type { TlsParameters } from './table.ts';

export type SecretWatcher = (name: string, secret: Secret | null) => void;

/** The proxy's TLS material by name; a renewed secret gives new contexts, and leaves open connections alone. */
export class SecretStore implements Secrets {
  readonly #secrets = new Map<string, Secret>();
  readonly #contexts = new Map<
    string,
    { certificates: readonly string[]; trust: string | null; context: TlsContext }
  >();
  readonly #leaves = new WeakMap<Secret, X509Certificate>();
  /** Which of several certificates were chosen, by `scansAll` and server name. */
  #choices = new WeakMap<readonly string[], Map<string, readonly string[]>>();
  readonly #watchers = new Set<SecretWatcher>();

  /** Throws an Error when the PEM cannot be used; the secret before it stays. */
  set(name: string, secret: Secret): void {
    // OpenSSL says what is wrong with it.
    if (secret.kind === 'certificate') new TlsContext({ ...noSecrets, certificates: [secret] }).free();
    else new TlsContext({ ...noSecrets, roots: secret.roots, revoked: secret.crl ?? null }).free();
    const known = this.#secrets.get(name);
    if (known && sameSecret(known, secret)) return;
    this.#secrets.set(name, secret);
    this.#forget(name);
    this.#tell(name, secret);
  }

  delete(name: string): void {
    if (!this.#secrets.delete(name)) return;
    this.#forget(name);
    this.#tell(name, null);
  }

  /** Tells of each change, as long as what is returned is not called; null takes a secret away. */
  watch(watcher: SecretWatcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  #tell(name: string, secret: Secret | null): void {
    for (const watcher of this.#watchers) watcher(name, secret);
  }

  get(name: string): Secret | null {
    return this.#secrets.get(name) ?? null;
  }

  /** Those of `names` that are there. */
  named(names: Iterable<string>): Map<string, Secret> {
    const found = new Map<string, Secret>();
    for (const name of names) {
      const secret = this.#secrets.get(name);
      if (secret) found.set(name, secret);
    }
    return found;
  }

  get names(): string[] {
    return [...this.#secrets.keys()];
  }

  #forget(name: string): void {
    for (const [key, { certificates, trust, context }] of this.#contexts)
      if ((certificates.includes(name) || trust === name) && this.#contexts.delete(key)) context.free();
    this.#choices = new WeakMap();
  }

  context(request: SecretRequest, serverName: string, scansAll: boolean): TlsContext | null {
    const { trust, parameters } = request;
    const certificates =
      request.certificates.length < 2 ? request.certificates : this.#choose(request.certificates, serverName, scansAll);
    const key = `${certificates.join('\n')}\n\n${trust}\n${request.minVersion}\n${request.maxVersion}\n${parametersKey(parameters)}`;
    const known = this.#contexts.get(key);
    if (known) return known.context;
    const shown: Array<Extract<Secret, { kind: 'certificate' }>> = [];
    for (const name of certificates) {
      const secret = this.#secrets.get(name);
      if (secret?.kind !== 'certificate') return null;
      shown.push(secret);
    }
    const trusted = trust === null ? null : this.#secrets.get(trust);
    if (trusted === undefined || trusted?.kind === 'certificate') return null;
    const context = new TlsContext({
      certificates: shown,
      roots: trusted?.roots ?? null,
      revoked: trusted?.crl ?? null,
      minVersion: request.minVersion,
      maxVersion: request.maxVersion,
      parameters,
    });
    this.#contexts.set(key, { certificates, trust, context });
    return context;
  }

  /** Envoy's rule: the certificates with the exact name, else those with its wildcard, else the first or one of each kind. */
  #choose(names: readonly string[], serverName: string, scansAll: boolean): readonly string[] {
    let choices = this.#choices.get(names);
    if (choices === undefined) {
      choices = new Map();
      this.#choices.set(names, choices);
    }
    const choice = `${scansAll} ${serverName}`;
    const known = choices.get(choice);
    if (known) return known;
    const wildcard = `*${serverName.slice(serverName.indexOf('.'))}`;
    let chosen = serverName === '' ? [] : names.filter((name) => this.#namesOf(name).has(serverName));
    if (chosen.length === 0 && serverName.includes('.'))
      chosen = names.filter((name) => this.#namesOf(name).has(wildcard));
    if (chosen.length === 0) chosen = scansAll || serverName === '' ? [...names] : [names[0]];
    const kinds = new Set<string>();
    chosen = chosen.filter((name) => {
      const kind = this.#kindOf(name);
      return !kinds.has(kind) && kinds.add(kind);
    });
    // Callers choose the name: what is kept of their choices has a limit.
    if (choices.size >= maxChoices) choices.clear();
    choices.set(choice, chosen);
    return chosen;
  }

  #parsed(name: string): X509Certificate | null {
    const secret = this.#secrets.get(name);
    if (secret?.kind !== 'certificate') return null;
    let certificate = this.#leaves.get(secret);
    if (certificate === undefined) {
      certificate = new X509Certificate(secret.chain);
      this.#leaves.set(secret, certificate);
    }
    return certificate;
  }

  #namesOf(name: string): ReadonlySet<string> {
    const certificate = this.#parsed(name);
    if (certificate === null) return noNames;
    const { dnsSans } = alternativeNames(certificate.subjectAltName);
    // The common name counts only where there is no other (RFC 6125 §6.4.4).
    const names = dnsSans.length > 0 ? dnsSans : (certificate.subject?.match(/^CN=(.*)$/m)?.slice(1) ?? []);
    return new Set(names.map((each) => each.toLowerCase()));
  }

  #kindOf(name: string): string {
    return this.#parsed(name)?.publicKey.asymmetricKeyType ?? name;
  }
}

const noSecrets: TlsContextOptions = {
  certificates: [],
  roots: null,
  revoked: null,
  minVersion: 'TLSv1.2',
  maxVersion: 'TLSv1.3',
  parameters: null,
};
const noNames: ReadonlySet<string> = new Set();
const maxChoices = 1000;
const keysOfParameters = new WeakMap<TlsParameters, string>();

function parametersKey(parameters: TlsParameters | null): string {
  if (parameters === null) return '';
  let key = keysOfParameters.get(parameters);
  if (key === undefined) {
    key = JSON.stringify(parameters);
    keysOfParameters.set(parameters, key);
  }
  return key;
}

function sameSecret(a: Secret, b: Secret): boolean {
  if (a.kind === 'certificate' && b.kind === 'certificate') return a.chain.equals(b.chain) && a.key.equals(b.key);
  return a.kind === 'trust' && b.kind === 'trust' && a.roots.equals(b.roots) && sameBytes(a.crl, b.crl);
}

const sameBytes = (a: Buffer | undefined, b: Buffer | undefined): boolean =>
  a === undefined || b === undefined ? a === b : a.equals(b);
