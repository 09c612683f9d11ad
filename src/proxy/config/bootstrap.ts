/** Envoy's bootstrap file, for `lateen proxy -c FILE`: the same file drives Lateen and Envoy. */
import { readFileSync } from 'node:fs';
import { fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import { parse } from 'yaml';
import type { Bootstrap } from '../../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import {
  Bootstrap_DynamicResourcesSchema,
  BootstrapSchema,
  ClusterManagerSchema,
} from '../../xds/gen/envoy/config/bootstrap/v3/bootstrap_pb.js';
import type { Node } from '../../xds/gen/envoy/config/core/v3/base_pb.js';
import { type ApiConfigSource, ApiConfigSource_ApiType } from '../../xds/gen/envoy/config/core/v3/config_source_pb.js';
import type { GrpcTarget } from '../../xds/grpc/client.ts';
import { compileAddress } from './address.ts';
import { ResourceStore } from './compile.ts';
import { Field, words } from './field.ts';
import { compileOverload } from './overload.ts';
import type { Secret } from './references.ts';
import { registry } from './registry.ts';
import { compileRuntime, runtimeValues } from './runtime-values.ts';
import { SecretStore } from './secret-store.ts';
import { compileStatsConfig } from './stats.ts';
import type { Overload, Table } from './table.ts';

// What is left out of the list configures Envoy itself, or what this proxy lacks.
const known =
  words(`node static_resources dynamic_resources admin layered_runtime cluster_manager stats_config stats_flush_interval
  overload_manager application_log_config default_socket_interface`);

export interface ParsedBootstrap {
  table: Table;
  store: ResourceStore;
  secrets: SecretStore;
  node: Node | undefined;
  /** The cluster that the proxy belongs to; ''. */
  localCluster: string;
  /** Which statistics are told; null tells all. */
  tells: ((name: string) => boolean) | null;
  /** The proxy's own messages are JSON objects (Envoy: application_log_config; its members are not read). */
  logAsJson: boolean;
  /** The file as JSON, with Envoy's names of fields. */
  json(): object;
  admin: { host: string; port: number } | null;
  /** Null when the file has no overload manager. */
  overload: Overload | null;
  /** The control plane, when the file names one. */
  ads: { target: GrpcTarget; protocol: 'delta' | 'sotw' } | null;
}

/** Every problem of a bootstrap file, one a line. */
export class BootstrapError extends Error {
  readonly problems: readonly string[];

  constructor(path: string, problems: readonly string[]) {
    super(`${path}:\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'BootstrapError';
    this.problems = problems;
  }
}

/** Reads YAML or JSON. Throws `BootstrapError`, or the system's Error when the file cannot be read. */
export function readBootstrap(path: string): ParsedBootstrap {
  return parseBootstrap(readFileSync(path, 'utf8'), path);
}

export function parseBootstrap(text: string, path = 'bootstrap'): ParsedBootstrap {
  let message: Bootstrap;
  try {
    message = fromJson(BootstrapSchema, parse(text, { merge: true, maxAliasCount: 1000 }) ?? {}, { registry });
  } catch (error) {
    throw new BootstrapError(path, [(error as Error).message]);
  }
  const field = new Field('bootstrap');
  field.only(BootstrapSchema, message, known);
  if (message.clusterManager)
    field
      .at('cluster_manager')
      .only(ClusterManagerSchema, message.clusterManager, words('local_cluster_name enable_deferred_cluster_creation'));
  const store = new ResourceStore();
  const secrets = new SecretStore();
  const { problems } = field;
  const put = (failed: string[]) => problems.push(...failed);
  const resources = message.staticResources;
  for (const cluster of resources?.clusters ?? []) put(store.put('cluster', cluster.name, cluster));
  for (const [i, listener] of (resources?.listeners ?? []).entries()) {
    const name = listener.name || `listener_${i}`;
    put(store.put('listener', name, { ...listener, name }));
  }
  for (const secret of resources?.secrets ?? []) {
    put(store.put('secret', secret.name, secret));
    const compiled = store.get('secret', secret.name);
    if (compiled) keep(secrets, secret.name, compiled, problems);
  }
  for (const { references } of [...store.all('listener'), ...store.all('cluster')].map(([, value]) => value))
    for (const [name, secret] of references.inlineSecrets) keep(secrets, name, secret, problems);
  const ads = readAds(field.at('dynamic_resources'), message, store, secrets);
  const admin = message.admin?.address ? compileAddress(field.at('admin').at('address'), message.admin.address) : null;
  compileRuntime(field.at('layered_runtime'), message.layeredRuntime, runtimeValues);
  const overload = compileOverload(field.at('overload_manager'), message.overloadManager);
  const logFormat = message.applicationLogConfig?.logFormat?.logFormat;
  const logAsJson = logFormat?.case === 'jsonFormat';
  if (logFormat?.case === 'textFormat')
    field.at('application_log_config').at('log_format').at('text_format').fail('is not supported; give json_format');
  const tells = compileStatsConfig(field.at('stats_config'), message.statsConfig);
  if (problems.length > 0) throw new BootstrapError(path, problems);
  const bytes = toBinary(BootstrapSchema, message);
  const json = () =>
    toJson(BootstrapSchema, fromBinary(BootstrapSchema, bytes), { registry, useProtoFieldName: true }) as object;
  return {
    table: store.table(1),
    store,
    secrets,
    node: message.node,
    localCluster: message.clusterManager?.localClusterName ?? '',
    tells,
    logAsJson,
    json,
    admin,
    ads,
    overload,
  };
}

function keep(secrets: SecretStore, name: string, secret: Secret, problems: string[]): void {
  try {
    secrets.set(name, secret);
  } catch (error) {
    problems.push(`secret ${name}: ${(error as Error).message}`);
  }
}

function readAds(field: Field, message: Bootstrap, store: ResourceStore, secrets: SecretStore): ParsedBootstrap['ads'] {
  const dynamic = message.dynamicResources;
  if (!dynamic) return null;
  field.only(Bootstrap_DynamicResourcesSchema, dynamic, words('lds_config cds_config ads_config'));
  for (const name of ['lds_config', 'cds_config'] as const) {
    const source = name === 'lds_config' ? dynamic.ldsConfig : dynamic.cdsConfig;
    if (source && source.configSourceSpecifier.case !== 'ads') field.at(name).fail('only ads is supported');
  }
  if (!dynamic.adsConfig) {
    field.at('ads_config').fail('is missing');
    return null;
  }
  return readSource(field.at('ads_config'), dynamic.adsConfig, store, secrets);
}

function readSource(
  field: Field,
  source: ApiConfigSource,
  store: ResourceStore,
  secrets: SecretStore,
): ParsedBootstrap['ads'] {
  const delta = source.apiType === ApiConfigSource_ApiType.DELTA_GRPC;
  if (!delta && source.apiType !== ApiConfigSource_ApiType.GRPC)
    field.at('api_type').fail('only GRPC and DELTA_GRPC are supported');
  const service = source.grpcServices[0]?.targetSpecifier;
  const at = field.at('grpc_services', 0);
  if (service?.case !== 'envoyGrpc') {
    at.fail('only envoy_grpc is supported');
    return null;
  }
  const compiled = store.get('cluster', service.value.clusterName);
  const endpoint = compiled?.cluster.endpoints[0]?.endpoints[0];
  if (!compiled || !endpoint) {
    at.at('envoy_grpc').at('cluster_name').fail(`${service.value.clusterName} is no static cluster with an endpoint`);
    return null;
  }
  const { tls } = compiled.cluster;
  const { host, port } = endpoint;
  const target: GrpcTarget = { host, port, tls: null };
  if (tls) {
    target.tls = {
      serverName: tls.sni || host,
      roots: () => {
        const trust = tls.trust === null ? null : secrets.get(tls.trust);
        return trust?.kind === 'trust' ? trust.roots : Buffer.alloc(0);
      },
      certificate: () => {
        const own = tls.certificate === null ? null : secrets.get(tls.certificate);
        return own?.kind === 'certificate' ? { chain: own.chain, key: own.key } : null;
      },
    };
  }
  return { target, protocol: delta ? 'delta' : 'sotw' };
}
