/**
 * A table on its way to another thread. Compiled tables hold functions, so what travels is the encoded resources that they were
 * compiled from, each once; the other thread compiles them again and puts the same table together.
 */
import { fromBinary } from '@bufbuild/protobuf';
import { schemas } from '../../xds/type-urls.ts';
import {
  type CompiledTypes,
  compileResource,
  endpointSourceOf,
  type Source,
  sourceOf,
  withEndpoints,
} from '../config/compile.ts';
import type { SecretStore } from '../config/secret-store.ts';
import type { Cluster, Listener, RouteTable, Table } from '../config/table.ts';

type Kind = 'cluster' | 'endpoint' | 'listener' | 'route';

export interface TableImage {
  readonly version: number;
  /** What the other thread does not have yet. */
  readonly resources: ReadonlyArray<{ id: number; type: Kind; name: string; bytes: Uint8Array }>;
  readonly clusters: ReadonlyArray<{ name: string; id: number; endpoints: number | null }>;
  readonly listeners: ReadonlyArray<{ name: string; id: number }>;
  /** `name` within the listener when the routes came inside one. */
  readonly routes: ReadonlyArray<{ name: string; id: number }>;
}

/** Makes images for one other thread, knowing what it has. */
export class TableImages {
  readonly #ids = new Map<Source, number>();
  #next = 0;

  of(table: Table): TableImage {
    const resources: Array<TableImage['resources'][number]> = [];
    const seen = new Set<Source>();
    const idOf = (source: Source | null, what: string): number => {
      if (source === null) throw new Error(`${what} was not compiled out of a resource`);
      seen.add(source);
      let id = this.#ids.get(source);
      if (id === undefined) {
        id = this.#next++;
        this.#ids.set(source, id);
        resources.push({ id, type: source.type as Kind, name: source.name, bytes: new Uint8Array(source.bytes) });
      }
      return id;
    };
    const image = {
      version: table.version,
      resources,
      clusters: [...table.clusters].map(([name, cluster]) => {
        const endpoints = endpointSourceOf(cluster);
        return {
          name,
          id: idOf(sourceOf(cluster), `cluster ${name}`),
          endpoints: endpoints && idOf(endpoints, `endpoints of ${name}`),
        };
      }),
      listeners: [...table.listeners].map(([name, listener]) => ({
        name,
        id: idOf(sourceOf(listener), `listener ${name}`),
      })),
      routes: [...table.routeTables].map(([name, routes]) => ({ name, id: idOf(sourceOf(routes), `routes ${name}`) })),
    };
    for (const source of this.#ids.keys()) if (!seen.has(source)) this.#ids.delete(source);
    return image;
  }
}

/** The other end: keeps what it was sent for as long as images name it. */
export class ReceivedTables {
  readonly #secrets: SecretStore;
  #compiled = new Map<number, CompiledTypes[Kind]>();
  #joined = new Map<string, Cluster>();

  constructor(secrets: SecretStore) {
    this.#secrets = secrets;
  }

  /** Throws an Error when a resource does not compile, which it did on the thread that sent it. */
  table(image: TableImage): Table {
    for (const { id, type, name, bytes } of image.resources) {
      const compiled = compileResource(type, name, fromBinary(schemas[type] as never, bytes) as never);
      if (!compiled.ok) throw new Error(compiled.problems.join('; '));
      this.#compiled.set(id, compiled.value);
      if ('references' in compiled.value)
        for (const [inline, secret] of compiled.value.references.inlineSecrets) this.#secrets.set(inline, secret);
    }
    const kept = new Map<number, CompiledTypes[Kind]>();
    const joined = new Map<string, Cluster>();
    const get = <T extends Kind>(id: number): CompiledTypes[T] => {
      const value = this.#compiled.get(id)!;
      kept.set(id, value);
      return value as CompiledTypes[T];
    };
    const clusters = new Map<string, Cluster>();
    for (const { name, id, endpoints } of image.clusters) {
      const key = `${id} ${endpoints}`;
      const { cluster } = get<'cluster'>(id);
      const found = endpoints === null ? null : get<'endpoint'>(endpoints);
      const made = this.#joined.get(key) ?? (found === null ? cluster : withEndpoints(cluster, found));
      joined.set(key, made);
      clusters.set(name, made);
    }
    const listeners = new Map<string, Listener>();
    for (const { name, id } of image.listeners) listeners.set(name, get<'listener'>(id).listener);
    const routeTables = new Map<string, RouteTable>();
    for (const { name, id } of image.routes) {
      const value = get<'listener' | 'route'>(id);
      routeTables.set(name, 'routeTables' in value ? value.routeTables.get(name)! : value);
    }
    this.#compiled = kept;
    this.#joined = joined;
    return { version: image.version, listeners, clusters, routeTables };
  }
}
