/** Rules across a DestinationRule's fields. */
import { below, each, type Report, show } from '../../schema/problem.ts';
import type { DestinationRule } from '../destination-rule.ts';
import { checkSubsetName } from './destination.ts';
import { checkExportTo } from './export-to.ts';
import { isIpAddress, wildcardNameProblem } from './host-name.ts';
import { checkLabels } from './label-rules.ts';

export function checkDestinationRule(
  { metadata, spec }: Pick<DestinationRule, 'metadata' | 'spec'>,
  report: Report,
): void {
  const at = below(report, 'spec');
  const problem = wildcardNameProblem(spec.host);
  if (problem) at.error(['host'], isIpAddress(spec.host) ? 'must be a host name, is an address' : problem, 'format');

  const names = new Map<string, number>();
  each(at, 'subsets', spec.subsets, (subset, there, i) => {
    const first = names.get(subset.name);
    if (first !== undefined)
      there.error(['name'], `${show(subset.name)} is used before, by subset ${first}`, 'duplicate');
    else names.set(subset.name, i);
    checkSubsetName(below(there, 'name'), subset.name);
    checkLabels(there, 'labels', subset.labels);
  });
  checkExportTo(at, spec.exportTo, metadata.namespace, { onlyOwnNamespace: spec.workloadSelector !== undefined });
  if (spec.workloadSelector && Object.keys(spec.workloadSelector.matchLabels ?? {}).length === 0)
    at.warning(['workloadSelector'], 'has no labels and so selects every workload of the namespace');
}
