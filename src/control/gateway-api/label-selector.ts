/** Kubernetes' label selectors with expressions. */
import type { LabelSelector } from '../../api/gateway/common.ts';
import { type Labels, matchesLabels } from '../model/selector.ts';

export function selects({ matchLabels, matchExpressions }: LabelSelector, labels: Labels): boolean {
  if (!matchesLabels(matchLabels, labels)) return false;
  return (matchExpressions ?? []).every(({ key, operator, values = [] }) => {
    const value = labels[key];
    if (operator === 'Exists') return value !== undefined;
    if (operator === 'DoesNotExist') return value === undefined;
    if (operator === 'In') return value !== undefined && values.includes(value);
    return value === undefined || !values.includes(value);
  });
}
