/** Gateways' certificates from Kubernetes Secrets. */
import type { KubeClient } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import { type Secret, secrets } from '../../kube/object.ts';
import { resourcesOfSecret, type SecretSource, tlsSecretOf } from '../serve/gateway-secrets.ts';
import type { Resource } from '../serve/resources.ts';

/** Certificates do not come in these types (Istio leaves out the same). */
const fieldSelector = [
  'type!=helm.sh/release.v1',
  'type!=kubernetes.io/service-account-token',
  'type!=bootstrap.kubernetes.io/token',
  'type!=istio.io/ca-root',
].join(',');

export class KubernetesSecrets implements SecretSource {
  readonly #informer: Informer<Secret, ReadonlyMap<string, Resource> | null>;
  readonly #listeners: Array<() => void> = [];

  constructor(client: KubeClient, onError: (error: Error) => void) {
    this.#informer = new Informer(client, secrets, {
      fieldSelector,
      onError,
      project: ({ metadata, data }) => {
        const secret = tlsSecretOf(data);
        return secret && resourcesOfSecret(metadata?.name ?? '', secret);
      },
    });
    const tell = (...touched: Array<ReadonlyMap<string, Resource> | null>) => {
      if (touched.some((each) => each !== null)) for (const listener of this.#listeners) listener();
    };
    this.#informer.on({
      add: (now) => tell(now),
      update: (now, before) => tell(now, before),
      delete: (gone) => tell(gone),
    });
  }

  start(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => void this.#informer.stop(), { once: true });
    return this.#informer.start().synced;
  }

  of(namespace: string): ReadonlyMap<string, Resource> {
    const found = new Map<string, Resource>();
    for (const key of this.#informer.keys())
      if (key.startsWith(`${namespace}/`))
        for (const [name, resource] of this.#informer.get(key) ?? []) found.set(name, resource);
    return found;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }
}
