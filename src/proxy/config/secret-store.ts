import { createSecureContext, type SecureContext } from 'node:tls';
import type { SecretRequest, Secrets } from '../net/secrets.ts';
import type { Secret } from './references.ts';

/** The forward-secret groups, the cheapest handshake first. */
const groups = 'X25519:P-256:P-384';

/** The proxy's TLS material by name; a renewed secret gives new contexts, and leaves open connections alone. */
export class SecretStore implements Secrets {
  readonly #secrets = new Map<string, Secret>();
  readonly #contexts = new Map<string, { request: SecretRequest; context: SecureContext }>();

  /** Throws an Error when the PEM cannot be used; the secret before it stays. */
  set(name: string, secret: Secret): void {
    if (secret.kind === 'certificate') createSecureContext({ cert: secret.chain, key: secret.key });
    else createSecureContext({ ca: secret.roots });
    const known = this.#secrets.get(name);
    if (known && sameSecret(known, secret)) return;
    this.#secrets.set(name, secret);
    this.#forget(name);
  }

  delete(name: string): void {
    if (this.#secrets.delete(name)) this.#forget(name);
  }

  get(name: string): Secret | null {
    return this.#secrets.get(name) ?? null;
  }

  get names(): string[] {
    return [...this.#secrets.keys()];
  }

  #forget(name: string): void {
    for (const [key, { request }] of this.#contexts)
      if (request.certificate === name || request.trust === name) this.#contexts.delete(key);
  }

  context(request: SecretRequest): SecureContext | null {
    const key = `${request.certificate}\n${request.trust}\n${request.minVersion}\n${request.maxVersion}`;
    const known = this.#contexts.get(key);
    if (known) return known.context;
    const certificate = request.certificate === null ? null : this.#secrets.get(request.certificate);
    const trust = request.trust === null ? null : this.#secrets.get(request.trust);
    if (certificate === undefined || trust === undefined) return null;
    if (certificate?.kind === 'trust' || trust?.kind === 'certificate') return null;
    const context = createSecureContext({
      ...(certificate && { cert: certificate.chain, key: certificate.key }),
      // Without roots of its own nothing may fall back to those that Node carries.
      ca: trust ? trust.roots : [],
      minVersion: request.minVersion,
      maxVersion: request.maxVersion,
      ecdhCurve: groups,
      // A server that asks for certificates resumes no session without one; its ticket keys are this context's own anyway.
      sessionIdContext: 'lateen',
    });
    this.#contexts.set(key, { request, context });
    return context;
  }
}

function sameSecret(a: Secret, b: Secret): boolean {
  if (a.kind === 'certificate' && b.kind === 'certificate') return a.chain.equals(b.chain) && a.key.equals(b.key);
  return a.kind === 'trust' && b.kind === 'trust' && a.roots.equals(b.roots);
}
