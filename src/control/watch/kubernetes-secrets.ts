/** Gateways' certificates from Kubernetes Secrets. */
import type { KubeClient } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import { type ApiObject, type Secret, secrets } from '../../kube/object.ts';
import { resourcesOfSecret, type SecretSource, type TlsSecret, tlsSecretOf } from '../serve/gateway-secrets.ts';
import type { Resource } from '../serve/resources.ts';
import { certificateFault } from './certificate.ts';

/** Certificates do not come in these types (Istio leaves out the same). */
const fieldSelector = [
  'type!=helm.sh/release.v1',
  'type!=kubernetes.io/service-account-token',
  'type!=bootstrap.kubernetes.io/token',
  'type!=istio.io/ca-root',
].join(',');

interface Held {
  name: string;
  resources: ReadonlyMap<string, Resource>;
  tls: TlsSecret;
  /** As a Gateway of the Gateway API asks for it. */
  granted: ReadonlyMap<string, Resource> | null;
}

export class KubernetesSecrets implements SecretSource {
  readonly #informer: Informer<Secret, Held | null>;
  readonly #listeners: Array<() => void> = [];

  /** @param onSecret told of each Secret without what it holds: the object, or null when it is gone */
  constructor(
    client: KubeClient,
    onError: (error: Error) => void,
    onSecret: (key: string, object: ApiObject | null) => void = () => {},
  ) {
    this.#informer = new Informer(client, secrets, {
      fieldSelector,
      onError,
      project: ({ metadata, data }) => {
        const { name = '', namespace } = metadata ?? {};
        const tls = tlsSecretOf(data);
        const fault = certificateFault(tls);
        onSecret(`${namespace}/${name}`, {
          apiVersion: 'v1',
          kind: 'Secret',
          metadata: { name, namespace },
          fault,
        } as ApiObject);
        return tls && { name, resources: resourcesOfSecret(name, tls), tls, granted: null };
      },
    });
    const tell = (...touched: Array<Held | null>) => {
      if (touched.some((each) => each !== null)) for (const listener of this.#listeners) listener();
    };
    this.#informer.on({
      add: (now) => tell(now),
      update: (now, before) => tell(now, before),
      delete: (gone, key) => {
        onSecret(key, null);
        tell(gone);
      },
    });
  }

  start(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => void this.#informer.stop(), { once: true });
    return this.#informer.start().synced;
  }

  of(namespace: string, granted: readonly string[]): ReadonlyMap<string, Resource> {
    const found = new Map<string, Resource>();
    for (const key of this.#informer.keys())
      if (key.startsWith(`${namespace}/`))
        for (const [name, resource] of this.#informer.get(key)?.resources ?? []) found.set(name, resource);
    for (const key of granted) {
      const held = this.#informer.get(key);
      if (!held) continue;
      held.granted ??= resourcesOfSecret(key, held.tls, 'kubernetes-gateway');
      for (const [name, resource] of held.granted) found.set(name, resource);
    }
    return found;
  }

  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }
}
