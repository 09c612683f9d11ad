/**
 * What a Sidecar lets its workloads know of the mesh (istio.io/latest/docs/reference/config/networking/sidecar). One applies to a workload:
 * the oldest that selects it, else the oldest of its namespace without a selector, else that of the root namespace.
 */
import type { Sidecar } from '../../api/istio/sidecar.ts';
import { coversHost, fullHost, type Labels, matchesLabels } from './selector.ts';
import type { Service } from './service.ts';
import type { Snapshot } from './snapshot.ts';

const selectorOf = ({ spec }: Sidecar): Labels => spec.workloadSelector?.labels ?? {};
const isForAll = (sidecar: Sidecar): boolean => Object.keys(selectorOf(sidecar)).length === 0;

export function sidecarFor({ sidecars, mesh }: Snapshot, namespace: string, labels: Labels): Sidecar | null {
  const own = sidecars.filter(({ metadata }) => metadata.namespace === namespace);
  return (
    own.find((sidecar) => !isForAll(sidecar) && matchesLabels(selectorOf(sidecar), labels)) ??
    own.find(isForAll) ??
    sidecars.find((sidecar) => sidecar.metadata.namespace === mesh.rootNamespace && isForAll(sidecar)) ??
    null
  );
}

interface Import {
  /** `*` for any. */
  readonly namespace: string;
  readonly host: string;
  /** Null for every port that the service has. */
  readonly port: number | null;
}

/** Null when everything is let in. */
function importsOf(sidecar: Sidecar | null, namespace: string): readonly Import[] | null {
  if (!sidecar?.spec.egress?.length) return null;
  return sidecar.spec.egress.flatMap(({ hosts, port }) =>
    hosts.flatMap((given): Import[] => {
      const slash = given.indexOf('/');
      const place = given.slice(0, slash);
      if (place === '~') return [];
      return [
        { namespace: place === '.' ? namespace : place, host: given.slice(slash + 1), port: port?.number ?? null },
      ];
    }),
  );
}

const concerns = ({ namespace, host }: Import, place: string, name: string): boolean =>
  (namespace === '*' || namespace === place) && (coversHost(host, name) || coversHost(name, host));

/** For whom a configuration is, as far as Sidecars go. */
export interface Viewer {
  readonly namespace: string;
  readonly sidecar: Sidecar | null;
}

/** What of a service is let in: the service itself, one with fewer ports, or null. */
export function letIn({ sidecar, namespace }: Viewer, service: Service): Service | null {
  const imports = importsOf(sidecar, namespace);
  if (imports === null) return service;
  const found = imports.filter((each) => concerns(each, service.namespace, service.host));
  if (found.length === 0) return null;
  if (found.some(({ port }) => port === null)) return service;
  const ports = service.ports.filter((own) => found.some(({ port }) => port === own.port));
  return ports.length === 0 ? null : ports.length === service.ports.length ? service : { ...service, ports };
}

/** Whether resources of a namespace about these hosts are let in. */
export function letsIn(
  { sidecar, namespace }: Viewer,
  place: string,
  hosts: readonly string[],
  { domain }: Snapshot,
): boolean {
  const imports = importsOf(sidecar, namespace);
  if (imports === null) return true;
  return hosts.some((given) => imports.some((each) => concerns(each, place, fullHost(given, place, domain))));
}

/** Tells viewers of a namespace apart. */
export const sidecarKey = ({ sidecar }: Viewer): string =>
  sidecar === null ? '' : `${sidecar.metadata.namespace}/${sidecar.metadata.name}`;
