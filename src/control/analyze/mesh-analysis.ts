/** The analysis of a whole mesh as the control plane sees it, and of one resource that is about to join it. */
import type { MeshObjects } from '../model/objects.ts';
import { type AnalysisOptions, analyze } from './analyze.ts';
import { type Analyzed, type Finding, nameOf } from './finding.ts';

/** Built-in kinds are kept without their names. */
const tables: ReadonlyArray<readonly [keyof MeshObjects, string, string]> = [
  ['services', 'v1', 'Service'],
  ['pods', 'v1', 'Pod'],
  ['namespaces', 'v1', 'Namespace'],
  ['serviceEntries', '', 'ServiceEntry'],
  ['workloadEntries', '', 'WorkloadEntry'],
  ['virtualServices', '', 'VirtualService'],
  ['destinationRules', '', 'DestinationRule'],
  ['gateways', '', 'Gateway'],
  ['sidecars', '', 'Sidecar'],
  ['authorizationPolicies', '', 'AuthorizationPolicy'],
  ['peerAuthentications', '', 'PeerAuthentication'],
  ['requestAuthentications', '', 'RequestAuthentication'],
  ['telemetries', '', 'Telemetry'],
  ['envoyFilters', '', 'EnvoyFilter'],
  ['wasmPlugins', '', 'WasmPlugin'],
];

function* objectsOf(objects: MeshObjects): Generator<Analyzed> {
  for (const [table, apiVersion, kind] of tables)
    for (const object of (objects[table] as ReadonlyMap<string, Analyzed>).values())
      yield apiVersion === '' ? object : { ...object, apiVersion, kind };
}

/** Validation has had its say before; namespaces, pods and Services are not told by a status of ours. */
const left = ['schema.ValidationAnalyzer', 'service.PortNameAnalyzer', 'injection.Analyzer', 'annotations.K8sAnalyzer'];

const optionsFor = (objects: MeshObjects, rootNamespace: string): AnalysisOptions => ({
  domain: objects.clusterDomain,
  rootNamespace,
  seesSecrets: false,
  // As Istio's analyzer reads it (protocoladdresses.go).
  capturesDns: objects.meshConfig.defaultConfig?.proxyMetadata?.ISTIO_META_DNS_CAPTURE === 'true',
  without: left,
});

export function analyzeMesh(objects: MeshObjects, rootNamespace: string): Finding[] {
  return analyze(objectsOf(objects), optionsFor(objects, rootNamespace));
}

const keptMs = 5_000;
const keptMost = 200;

/** What was admitted a moment ago and may not have come back by a watch yet: one file often holds resources that go together. */
export class JustAdmitted {
  readonly #kept = new Map<string, { resource: Analyzed; atMs: number }>();

  add(resource: Analyzed): void {
    const key = `${resource.kind} ${nameOf(resource)}`;
    this.#kept.delete(key);
    this.#kept.set(key, { resource: dated(resource), atMs: performance.now() });
    if (this.#kept.size > keptMost) this.#kept.delete(this.#kept.keys().next().value!);
  }

  list(): Analyzed[] {
    const now = performance.now();
    for (const [key, { atMs }] of this.#kept) if (now - atMs > keptMs) this.#kept.delete(key);
    return Array.from(this.#kept.values(), ({ resource }) => resource);
  }
}

/**
 * What would be said of a resource if it were applied now; a new one comes after all that are there. `admitted` counts where the mesh does not
 * know the resource itself.
 */
export function adviseOn(
  given: Analyzed,
  objects: MeshObjects,
  admitted: readonly Analyzed[],
  rootNamespace: string,
): Finding[] {
  const resource = dated(given);
  const idOf = (object: Analyzed) => `${object.kind} ${nameOf(object)}`;
  const others = new Map<string, Analyzed>();
  for (const object of admitted) others.set(idOf(object), object);
  for (const object of objectsOf(objects)) others.set(idOf(object), object);
  others.delete(idOf(resource));
  return analyze([...others.values(), resource], optionsFor(objects, rootNamespace)).filter(
    (finding) => finding.resource === resource,
  );
}

function dated(object: Analyzed): Analyzed {
  const creationTimestamp = object.metadata.creationTimestamp ?? new Date().toISOString();
  return { ...object, metadata: { ...object.metadata, creationTimestamp } };
}
