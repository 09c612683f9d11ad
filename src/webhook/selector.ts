/** Kubernetes label selectors (`metav1.LabelSelector`). */

export interface LabelSelector {
  matchLabels?: Record<string, string>;
  matchExpressions?: Array<{
    key: string;
    operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
    values?: string[];
  }>;
}

export type Labels = Readonly<Record<string, string | undefined>>;

/** Whether every term holds. Like Istio's injector, an empty selector selects nothing here, and an unknown operator fails. */
export function selects(selector: LabelSelector, labels: Labels): boolean {
  const exact = Object.entries(selector.matchLabels ?? {});
  const terms = Array.isArray(selector.matchExpressions) ? selector.matchExpressions : [];
  if (exact.length + terms.length === 0) return false;
  return exact.every(([key, value]) => labels[key] === value) && terms.every((term) => holds(term, labels));
}

function holds(term: NonNullable<LabelSelector['matchExpressions']>[number], labels: Labels): boolean {
  const value = labels[term.key];
  const values = Array.isArray(term.values) ? term.values : [];
  switch (term.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}
