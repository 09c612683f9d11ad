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
  without: left,
});

export function analyzeMesh(objects: MeshObjects, rootNamespace: string): Finding[] {
  return analyze(objectsOf(objects), optionsFor(objects, rootNamespace));
}

/** What would be said of a resource if it were applied now; a new one comes after all that are there. */
export function adviseOn(given: Analyzed, objects: MeshObjects, rootNamespace: string): Finding[] {
  const creationTimestamp = given.metadata.creationTimestamp ?? new Date().toISOString();
  const resource = { ...given, metadata: { ...given.metadata, creationTimestamp } };
  const others = [...objectsOf(objects)].filter(
    (object) => object.kind !== resource.kind || nameOf(object) !== nameOf(resource),
  );
  return analyze([...others, resource], optionsFor(objects, rootNamespace)).filter(
    (finding) => finding.resource === resource,
  );
}
