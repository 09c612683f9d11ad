/** Kubernetes labels as parts of rules: keys and values must be ones that an object could carry. */
import { eachEntry, type Report, show } from '../../schema/problem.ts';
import type { WorkloadSelector } from '../common.ts';

const keyPattern = /^(?:([a-zA-Z0-9](?:[-a-zA-Z0-9.]*[a-zA-Z0-9])?)\/)?([a-zA-Z0-9](?:[-a-zA-Z0-9_.]*[a-zA-Z0-9])?)$/;
const valuePattern = /^(?:[a-zA-Z0-9](?:[-a-zA-Z0-9_.]*[a-zA-Z0-9])?)?$/;

export function checkLabels(report: Report, field: string, labels: Readonly<Record<string, string>> | undefined): void {
  eachEntry(report, field, labels, (key, value, at) => {
    const parts = keyPattern.exec(key);
    if (!parts || (parts[1] ?? '').length > 253 || parts[2].length > 63)
      at.error([], 'is not a key that a label can have', 'format');
    if (value.length > 63 || !valuePattern.test(value))
      at.error([], `${show(value)} is not a value that a label can have`, 'format');
  });
}

/** A selector without labels selects everything; who writes one may not have meant that. */
export function warnOfEmptySelector(report: Report, selector: WorkloadSelector | undefined): void {
  if (selector && Object.keys(selector.matchLabels ?? {}).length === 0)
    report.warning(['selector'], 'has no labels and so selects every workload of the namespace');
}
