/** Rules across an EnvoyFilter's fields. */
import { below, each, type Report } from '../../schema/problem.ts';
import type { ConfigPatch, EnvoyFilter } from '../envoy-filter.ts';
import { checkTargetRef } from './target-ref.ts';

export function checkEnvoyFilter({ spec }: Pick<EnvoyFilter, 'metadata' | 'spec'>, report: Report): void {
  const at = below(report, 'spec');
  if (spec.workloadSelector && Object.keys(spec.workloadSelector.labels ?? {}).length === 0)
    at.warning(['workloadSelector'], 'has no labels and so selects every workload of the namespace');
  each(at, 'targetRefs', spec.targetRefs, (target, there) => checkTargetRef(there, target));
  each(at, 'configPatches', spec.configPatches, (patch, there) => checkPatch(there, patch));
}

/** Which part of a match an `applyTo` goes with. */
const matchOf: Readonly<Record<string, 'listener' | 'routeConfiguration' | 'cluster'>> = {
  LISTENER: 'listener',
  FILTER_CHAIN: 'listener',
  NETWORK_FILTER: 'listener',
  LISTENER_FILTER: 'listener',
  HTTP_FILTER: 'listener',
  ROUTE_CONFIGURATION: 'routeConfiguration',
  VIRTUAL_HOST: 'routeConfiguration',
  HTTP_ROUTE: 'routeConfiguration',
  CLUSTER: 'cluster',
};

const needsListener = ['LISTENER_FILTER', 'NETWORK_FILTER', 'HTTP_FILTER'];
const beside = ['INSERT_BEFORE', 'INSERT_AFTER'];

function checkPatch(report: Report, { applyTo = 'INVALID', match, patch }: ConfigPatch): void {
  if (applyTo === 'INVALID') {
    report.error(['applyTo'], 'is required', 'required');
    return;
  }
  const operation = patch?.operation ?? 'INVALID';
  if (patch === undefined) report.error(['patch'], 'is required', 'required');
  else if (operation === 'INVALID') report.error(['patch', 'operation'], 'is required', 'required');
  else if (operation !== 'REMOVE' && patch.value === undefined)
    report.error(['patch', 'value'], `is required for operation ${operation}`, 'required');
  const expected = matchOf[applyTo];
  for (const part of ['listener', 'routeConfiguration', 'cluster'] as const)
    if (expected && match?.[part] !== undefined && part !== expected)
      report.error(['match', part], `does not go with applyTo ${applyTo}, which is matched by ${expected}`, 'conflict');
  if (
    needsListener.includes(applyTo) &&
    beside.includes(operation) &&
    match?.listener === undefined &&
    match?.waypoint === undefined
  )
    report.error(['match', 'listener'], `is required to say where to insert: operation ${operation}`, 'required');
  if (applyTo === 'BOOTSTRAP' && operation !== 'MERGE' && operation !== 'INVALID')
    report.error(['patch', 'operation'], `must be MERGE for applyTo BOOTSTRAP, is ${operation}`, 'conflict');
  if (match?.proxy?.proxyVersion !== undefined)
    try {
      new RegExp(match.proxy.proxyVersion);
    } catch {
      report.error(['match', 'proxy', 'proxyVersion'], 'is no regular expression', 'format');
    }
}
