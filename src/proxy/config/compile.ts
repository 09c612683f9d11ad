/**
 * xDS resources → the table that the data path reads. Each resource is compiled by itself when it changes; a bad one is
 * refused with everything that is wrong with it, and the one before stays in use. What did not change keeps its object.
 */
import { toBinary } from '@bufbuild/protobuf';
import type { ClusterLoadAssignment } from '../../xds/gen/envoy/config/endpoint/v3/endpoint_pb.js';
import { CertificateValidationContextSchema } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/common_pb.js';
import type { Secret as SecretMessage } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { type EnvoyType, schemas, type XdsMessages } from '../../xds/type-urls.ts';
import { type CompiledCluster, compileCluster } from './cluster.ts';
import { readData } from './data-source.ts';
import { compileEndpoints } from './endpoint.ts';
import { Field, words } from './field.ts';
import { type CompiledListener, compileListener } from './listener.ts';
import { type Secret, trustOf } from './references.ts';
import { compileEncodedRoutes, compileRoutes } from './route.ts';
import type { Cluster, Listener, Locality, RouteTable, Table } from './table.ts';

export interface CompiledTypes {
  cluster: CompiledCluster;
  endpoint: readonly Locality[];
  listener: CompiledListener;
  route: RouteTable;
  secret: Secret;
}

export type Compiled<T extends EnvoyType> = { ok: true; value: CompiledTypes[T] } | { ok: false; problems: string[] };

const compilers: { [T in EnvoyType]: (field: Field, message: XdsMessages[T]) => CompiledTypes[T] | null } = {
  cluster: compileCluster,
  endpoint: (field: Field, message: ClusterLoadAssignment) => compileEndpoints(field, message, 'name'),
  listener: compileListener,
  route: compileRoutes,
  secret: compileSecret,
};

/** Never throws; `problems` begin with the resource's type and name. */
export function compileResource<T extends EnvoyType>(type: T, name: string, message: XdsMessages[T]): Compiled<T> {
  return attempt(type, name, (field) => compilers[type](field, message));
}

function attempt<T extends EnvoyType>(
  type: T,
  name: string,
  compile: (field: Field) => CompiledTypes[T] | null,
): Compiled<T> {
  const field = new Field(`${type} ${name}`);
  try {
    const value = compile(field);
    if (field.problems.length > 0 || value === null) return { ok: false, problems: field.problems };
    return { ok: true, value };
  } catch (error) {
    return { ok: false, problems: [...field.problems, `${type} ${name}: ${(error as Error).message}`] };
  }
}

function compileSecret(field: Field, message: SecretMessage): Secret | null {
  const { case: kind, value } = message.type;
  if (kind === 'tlsCertificate') {
    const at = field.at('tls_certificate');
    const chain = readData(at.at('certificate_chain'), value.certificateChain);
    const key = readData(at.at('private_key'), value.privateKey);
    if (chain.length === 0) at.at('certificate_chain').fail('is empty');
    if (key.length === 0) at.at('private_key').fail('is empty');
    return { kind: 'certificate', chain, key };
  }
  if (kind === 'validationContext') {
    const at = field.at('validation_context');
    at.only(CertificateValidationContextSchema, value, words('trusted_ca crl watched_directory'));
    const roots = readData(at.at('trusted_ca'), value.trustedCa);
    if (roots.length === 0) at.at('trusted_ca').fail('is empty');
    return trustOf(roots, readData(at.at('crl'), value.crl));
  }
  field.fail(`${kind ?? 'nothing'} is not supported; give tls_certificate or validation_context`);
  return null;
}

/** The resource that an object of a table was compiled from. */
export interface Source {
  readonly type: EnvoyType;
  readonly name: string;
  readonly bytes: Uint8Array;
}

const sources = new WeakMap<object, Source>();
/** Of clusters that have been given endpoints. */
const endpointSources = new WeakMap<Cluster, Source>();

/** Of a listener, a cluster, or routes (those inside a listener have that listener's); null for what was made by hand. */
export const sourceOf = (compiled: object): Source | null => sources.get(compiled) ?? null;

/** The endpoints that have arrived for a cluster; null when it has those of its own resource. */
export const endpointSourceOf = (cluster: Cluster): Source | null => endpointSources.get(cluster) ?? null;

function note<T extends EnvoyType>(source: Source, value: CompiledTypes[T]): void {
  if (source.type === 'cluster') sources.set((value as CompiledCluster).cluster, source);
  else if (source.type !== 'listener') sources.set(value, source);
  else {
    const { listener, routeTables } = value as CompiledListener;
    sources.set(listener, source);
    for (const routes of routeTables.values()) sources.set(routes, source);
  }
}

/** A cluster with the endpoints that were discovered for it. */
export const withEndpoints = (cluster: Cluster, endpoints: CompiledTypes['endpoint']): Cluster => ({
  ...cluster,
  endpoints,
});

interface Kept<T extends EnvoyType> {
  readonly value: CompiledTypes[T];
  /** As it came, for /config_dump: bytes lie outside of the heap. */
  readonly bytes: Uint8Array;
  /** When it was taken over, milliseconds since the epoch. */
  readonly updatedMs: number;
}

/** The last good resource of every name. */
export class ResourceStore {
  readonly #kept: { [T in EnvoyType]: Map<string, Kept<T>> } = {
    cluster: new Map(),
    endpoint: new Map(),
    listener: new Map(),
    route: new Map(),
    secret: new Map(),
  };
  readonly #joined = new Map<string, { base: Cluster; endpoints: readonly Locality[] | undefined; cluster: Cluster }>();

  /** The problems, none when it is taken over. */
  put<T extends EnvoyType>(type: T, name: string, message: XdsMessages[T]): string[] {
    const bytes = toBinary(schemas[type] as never, message as never) as Uint8Array;
    const before = this.#kept[type].get(name);
    if (before && Buffer.compare(before.bytes, bytes) === 0) return [];
    return this.#take(type, name, bytes, compileResource(type, name, message));
  }

  /** The same of a RouteConfiguration as it came: virtual hosts that are as before are not compiled again. */
  putRoutes(name: string, bytes: Uint8Array): string[] {
    const before = this.#kept.route.get(name);
    if (before && Buffer.compare(before.bytes, bytes) === 0) return [];
    const compiled = attempt('route', name, (field) =>
      compileEncodedRoutes(field, bytes, before === undefined ? null : { bytes: before.bytes, table: before.value }),
    );
    return this.#take('route', name, bytes, compiled);
  }

  #take<T extends EnvoyType>(type: T, name: string, bytes: Uint8Array, compiled: Compiled<T>): string[] {
    if (!compiled.ok) return compiled.problems;
    this.#kept[type].set(name, { value: compiled.value, bytes, updatedMs: Date.now() });
    note({ type, name, bytes }, compiled.value);
    return [];
  }

  /** The resource as it came. */
  bytesOf(type: EnvoyType, name: string): Uint8Array | null {
    return this.#kept[type].get(name)?.bytes ?? null;
  }

  delete(type: EnvoyType, name: string): void {
    this.#kept[type].delete(name);
  }

  get<T extends EnvoyType>(type: T, name: string): CompiledTypes[T] | null {
    return this.#kept[type].get(name)?.value ?? null;
  }

  /** Name, encoded message and time of the last change of every resource of the type. */
  raw(type: EnvoyType): Array<[name: string, bytes: Uint8Array, updatedMs: number]> {
    return [...this.#kept[type]].map(([name, { bytes, updatedMs }]) => [name, bytes, updatedMs]);
  }

  *all<T extends EnvoyType>(type: T): IterableIterator<[string, CompiledTypes[T]]> {
    for (const [name, { value }] of this.#kept[type]) yield [name, value];
  }

  /** Clusters of this store with the endpoints that have arrived; an unchanged one is the same object as before. */
  clusters(of: Iterable<readonly [string, CompiledCluster]> = this.all('cluster')): Map<string, Cluster> {
    const clusters = new Map<string, Cluster>();
    for (const [name, { cluster: base }] of of) {
      const endpoints = base.discovery === 'eds' ? this.#kept.endpoint.get(base.edsName)?.value : undefined;
      const known = this.#joined.get(name);
      if (known?.base === base && known.endpoints === endpoints) {
        clusters.set(name, known.cluster);
        continue;
      }
      const cluster = endpoints ? withEndpoints(base, endpoints) : base;
      if (endpoints) {
        sources.set(cluster, sources.get(base)!);
        endpointSources.set(cluster, sources.get(endpoints)!);
      }
      this.#joined.set(name, { base, endpoints, cluster });
      clusters.set(name, cluster);
    }
    for (const name of this.#joined.keys()) if (!clusters.has(name)) this.#joined.delete(name);
    return clusters;
  }

  listeners(of: Iterable<readonly [string, CompiledListener]> = this.all('listener')): {
    listeners: Map<string, Listener>;
    inlineRoutes: Map<string, RouteTable>;
  } {
    const listeners = new Map<string, Listener>();
    const inlineRoutes = new Map<string, RouteTable>();
    for (const [name, value] of of) {
      listeners.set(name, value.listener);
      for (const [routeName, routes] of value.routeTables) inlineRoutes.set(routeName, routes);
    }
    return { listeners, inlineRoutes };
  }

  routes(): Map<string, RouteTable> {
    return new Map([...this.#kept.route].map(([name, { value }]) => [name, value]));
  }

  /** A table of everything that is here. */
  table(version: number): Table {
    const { listeners, inlineRoutes } = this.listeners();
    return { version, listeners, clusters: this.clusters(), routeTables: withInline(this.routes(), inlineRoutes) };
  }
}

/** Routes of RDS and those that came inside listeners; a listener whose routes have not arrived finds an empty table. */
export function withInline(
  routes: Map<string, RouteTable>,
  inline: ReadonlyMap<string, RouteTable>,
): Map<string, RouteTable> {
  for (const [name, table] of inline) routes.set(name, table);
  return routes;
}

export const emptyTable: Table = { version: 0, listeners: new Map(), clusters: new Map(), routeTables: new Map() };
