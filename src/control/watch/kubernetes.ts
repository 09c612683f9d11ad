/** The mesh's objects from a Kubernetes API server. */

import { apiVersions } from '../../api/kind.ts';
import { kinds } from '../../api/kinds.ts';
import type { KubeClient } from '../../kube/client.ts';
import { Informer } from '../../kube/informer.ts';
import {
  type ApiObject,
  type ConfigMap,
  configMaps,
  endpointSlices,
  namespaces,
  nodes,
  pods,
  type Resource,
  resource,
  services,
} from '../../kube/object.ts';
import { gatewayApiResources } from './gateway-api.ts';
import type { ChangeScope, ObjectSource } from './source.ts';
import { MeshStore, type StoreOptions, storedKindNames, storedKindOf } from './store.ts';

export interface KubernetesSourceOptions extends StoreOptions {
  client: KubeClient;
  /** Where the control plane's ConfigMaps are. */
  namespace: string;
  /** Names of the ConfigMaps of the mesh and of the injector. */
  meshConfigMap: string;
  injectorConfigMap: string;
  onError(kind: string, error: Error): void;
}

const builtIn: readonly Resource[] = [services, endpointSlices, pods, namespaces, nodes] as Resource[];

function custom(): Resource[] {
  return kinds
    .filter(({ kind, scope }) => scope === 'Namespaced' && storedKindNames.includes(kind))
    .map((kind) => resource(apiVersions(kind)[0], kind.kind, kind.plural));
}

export class KubernetesSource implements ObjectSource {
  readonly #options: KubernetesSourceOptions;
  readonly #store: MeshStore;
  readonly #informers: Informer<ApiObject>[] = [];
  #configMaps: Informer<ConfigMap> | null = null;
  #tell: (scope: ChangeScope | null) => void = () => {};

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
    this.#store = new MeshStore(options);
  }

  async start(onChange: (scope: ChangeScope) => void, signal: AbortSignal): Promise<void> {
    const tell = (scope: ChangeScope | null) => {
      if (scope) onChange(scope);
    };
    this.#tell = tell;
    for (const kind of [...builtIn, ...custom(), ...Object.values<Resource>(gatewayApiResources)]) {
      const informer: Informer<ApiObject> = new Informer(this.#options.client, kind, {
        // The store keeps the object; the informer needs nothing but its having been there.
        onError: (error) => this.#options.onError(kind.kind, error),
        project: (object) => {
          tell(this.#store.put(object));
          return { apiVersion: kind.apiVersion, kind: kind.kind };
        },
      });
      informer.on({ delete: (_, key) => tell(this.#store.remove(storedKindOf(kind), key)) });
      this.#informers.push(informer.start());
    }
    const own = this.#followConfigMaps(tell);
    signal.addEventListener('abort', () => void this.#stop(), { once: true });
    await Promise.all([own.synced, ...this.#informers.map(({ synced }) => synced)]);
  }

  /** Takes what is told of a Secret by whoever watches them, or null when it is gone. */
  takeSecret(key: string, object: ApiObject | null): void {
    this.#tell(object === null ? this.#store.remove('Secret', key) : this.#store.put(object));
  }

  read() {
    return this.#store.read();
  }

  get problems(): string[] {
    const unreachable = this.#informers
      .filter(({ lastError }) => lastError !== null)
      .map(({ resource: { plural }, lastError }) => `${plural}: ${lastError?.message}`);
    return [...this.#store.problems, ...unreachable];
  }

  /** Data of the injector's ConfigMap, as it is now. */
  get injectorConfig(): { [key: string]: string } {
    const { namespace, injectorConfigMap } = this.#options;
    return this.#configMaps?.get(`${namespace}/${injectorConfigMap}`)?.data ?? {};
  }

  /** Text of the mesh's configuration, as it is now. */
  get meshConfigText(): string | undefined {
    const { namespace, meshConfigMap } = this.#options;
    return this.#configMaps?.get(`${namespace}/${meshConfigMap}`)?.data?.mesh;
  }

  #followConfigMaps(tell: (scope: ChangeScope | null) => void): Informer<ConfigMap> {
    const { client, namespace, meshConfigMap, injectorConfigMap, onError } = this.#options;
    const where = `ConfigMap ${namespace}/${meshConfigMap}, key mesh`;
    const informer = new Informer(client, configMaps, {
      onError: (error) => onError('ConfigMap', error),
      project: (map) => {
        const { namespace: place, name = '' } = map.metadata ?? {};
        // The mesh's own root is in every namespace, and nobody's choice.
        const isMeshRoot = name === 'istio-ca-root-cert' || name === 'kube-root-ca.crt';
        if (map.data?.['ca.crt'] && !isMeshRoot) tell(this.#store.put(map));
        else tell(this.#store.remove('ConfigMap', `${place}/${name}`));
        const isOwn = place === namespace && [meshConfigMap, injectorConfigMap].includes(name);
        return isOwn ? map : { apiVersion: map.apiVersion, kind: map.kind, metadata: { name, namespace: place } };
      },
    });
    const isMesh = (key: string) => key === `${namespace}/${meshConfigMap}`;
    const read = (map: ConfigMap | null, key: string) => {
      if (isMesh(key)) tell(this.#store.putMeshConfig(map?.data?.mesh ?? null, where));
    };
    informer.on({
      add: read,
      update: (map, _, key) => read(map, key),
      delete: (_, key) => {
        read(null, key);
        tell(this.#store.remove('ConfigMap', key));
      },
    });
    this.#configMaps = informer.start();
    return informer;
  }

  async #stop(): Promise<void> {
    await Promise.all([...this.#informers.map((informer) => informer.stop()), this.#configMaps?.stop()]);
  }
}
