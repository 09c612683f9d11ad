/** `exportTo`: the namespaces that see a resource. */
import { type Report, show } from '../../schema/problem.ts';
import { isDnsLabel } from './host-name.ts';

interface Options {
  /** `~`, "no one", makes sense for a ServiceEntry alone. */
  mayBeNoOne?: boolean;
  /** A DestinationRule for chosen workloads only holds in its own namespace. */
  onlyOwnNamespace?: boolean;
}

export function checkExportTo(
  report: Report,
  exportTo: readonly string[] | undefined,
  namespace = '',
  options: Options = {},
): void {
  if (!exportTo || exportTo.length === 0) return;
  const seen = new Map<string, string>();
  exportTo.forEach((entry, i) => {
    const target = entry === '.' ? namespace : entry;
    const before = seen.get(target);
    if (before !== undefined)
      report.error(
        ['exportTo', i],
        before === entry
          ? `${show(entry)} is there twice`
          : `${show(entry)} and ${show(before)} are the same namespace`,
        'duplicate',
      );
    seen.set(target, entry);
    if (entry === '~' && !options.mayBeNoOne)
      report.error(['exportTo', i], '"~" (no one) is only for a ServiceEntry; use "." for the own namespace');
    else if (!['.', '*', '~'].includes(entry) && !isDnsLabel(entry))
      report.error(['exportTo', i], `must be ".", "*" or a namespace, is ${show(entry)}`, 'format');
    if (['*', '~'].includes(entry) && exportTo.length > 1)
      report.error(['exportTo', i], `${show(entry)} must be the only entry`, 'conflict');
  });
  if (options.onlyOwnNamespace && [...seen.keys()].some((target) => target !== namespace))
    report.error(['exportTo'], 'must name no namespace but its own when workloadSelector is set', 'conflict');
}
