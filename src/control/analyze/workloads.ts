/** Selectors, and resources that select the same workloads: IST0110, IST0111, IST0127, IST0157, IST0159, IST0160. */
import { type Labels, matchesLabels } from '../model/selector.ts';
import { type Analyzed, type Code, nameOf, type Tell } from './finding.ts';
import type { View } from './view.ts';

interface Selecting {
  readonly resource: Analyzed;
  readonly labels: Labels | undefined;
  readonly path: string;
}

function selectors(view: View): Selecting[] {
  const byLabels = (
    ['AuthorizationPolicy', 'PeerAuthentication', 'RequestAuthentication', 'Telemetry', 'WasmPlugin'] as const
  )
    .flatMap((kind) => [...view.of(kind)])
    .map((resource) => ({
      resource,
      labels: resource.spec.selector?.matchLabels,
      path: 'spec.selector.matchLabels',
    }));
  const byWorkload = [...view.of('Sidecar'), ...view.of('EnvoyFilter'), ...view.of('ServiceEntry')].map((resource) => ({
    resource,
    labels: resource.spec.workloadSelector?.labels,
    path: 'spec.workloadSelector.labels',
  }));
  return [...byLabels, ...byWorkload];
}

export function analyzeSelectors(view: View, tell: Tell): void {
  if (!view.options.isWhole) return;
  for (const { resource, labels, path } of selectors(view)) {
    if (!labels || Object.keys(labels).length === 0) continue;
    const own = resource.metadata.namespace ?? '';
    // What stands in the root namespace is for the workloads of all.
    const namespace = own === view.options.rootNamespace ? null : own;
    if (view.workloads(namespace, labels).length > 0) continue;
    const text = Object.entries(labels).map(([key, value]) => `${key}=${value}`);
    tell(
      'IST0127',
      resource,
      path,
      `No matching workloads for this resource with the following labels: ${text.join(',')}`,
    );
  }
}

interface OnlyOne {
  readonly kind: 'Sidecar' | 'Telemetry';
  readonly plural: string;
  readonly sameWorkload: Code;
  readonly noSelector: Code;
}

const onlyOnes: readonly OnlyOne[] = [
  { kind: 'Sidecar', plural: 'Sidecars', sameWorkload: 'IST0110', noSelector: 'IST0111' },
  { kind: 'Telemetry', plural: 'Telemetries', sameWorkload: 'IST0159', noSelector: 'IST0160' },
];

/** Of these kinds one applies to a workload: the oldest, in an order that nobody should count on. */
export function analyzeOnlyOnes(view: View, tell: Tell): void {
  for (const { kind, plural, sameWorkload, noSelector } of onlyOnes) {
    const byNamespace = Map.groupBy(
      selectors(view).filter(({ resource }) => resource.kind === kind),
      ({ resource }) => resource.metadata.namespace ?? '',
    );
    for (const [namespace, all] of byNamespace) {
      const isForAll = ({ labels }: Selecting) => Object.keys(labels ?? {}).length === 0;
      const forAll = all.filter((each) => isForAll(each) && !isTargeted(each.resource));
      const names = (some: readonly Selecting[]) =>
        `[${some
          .map(({ resource }) => resource.metadata.name)
          .sort()
          .join(' ')}]`;
      if (forAll.length > 1)
        for (const { resource } of forAll)
          tell(
            noSelector,
            resource,
            '',
            `The ${plural} ${names(forAll)} in namespace "${namespace}" have no workload selector, which can lead to undefined behavior.`,
          );
      const chosen = all.filter((each) => !isForAll(each));
      for (const one of chosen) {
        const shared = view
          .workloads(namespace, one.labels)
          .map((workload) => ({
            workload,
            same: chosen.filter(({ labels }) => matchesLabels(labels, workload.labels)),
          }))
          .find(({ same }) => same.length > 1);
        if (shared)
          tell(
            sameWorkload,
            one.resource,
            one.path,
            `The ${plural} ${names(shared.same)} in namespace "${namespace}" select the same workload pod "${nameOf({ apiVersion: '', kind: '', metadata: shared.workload })}", which can lead to undefined behavior.`,
          );
      }
    }
  }
  for (const telemetry of view.of('Telemetry')) {
    const { name = '', namespace = '' } = telemetry.metadata;
    for (const [i, { providers, disabled }] of (telemetry.spec.accessLogging ?? []).entries())
      if (providers?.length === 0 && !disabled)
        tell(
          'IST0157',
          telemetry,
          `spec.accessLogging[${i}].providers`,
          `The Telemetry ${name} in namespace "${namespace}" with empty providers will be ignored.`,
        );
  }
}

const isTargeted = (resource: Analyzed): boolean => {
  const { targetRef, targetRefs } = (resource as unknown as { spec: { targetRef?: unknown; targetRefs?: unknown[] } })
    .spec;
  return targetRef !== undefined || (targetRefs?.length ?? 0) > 0;
};
