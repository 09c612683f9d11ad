/** Equality label selectors, and the small rules of visibility that several kinds share. */

export type Labels = Readonly<Record<string, string>>;

/** An empty or absent selector matches everything. */
export function matchesLabels(selector: Labels | undefined, labels: Labels): boolean {
  for (const key in selector) if (labels[key] !== selector[key]) return false;
  return true;
}

/** Istio's `exportTo`: `*` everywhere, `.` the resource's own namespace, `~` nowhere, else a namespace's name; empty means everywhere. */
export function isVisible(exportTo: readonly string[] | undefined, own: string, from: string): boolean {
  if (!exportTo || exportTo.length === 0) return true;
  return exportTo.some((to) => to === '*' || to === from || (to === '.' && own === from));
}

/** A host as Istio resolves it: without a dot it is short for a service of the resource's own namespace. */
export function fullHost(host: string, namespace: string, domain: string): string {
  return host.includes('.') || host === '*' ? host : `${host}.${namespace}.svc.${domain}`;
}

/** Whether `*.suffix` or `*` covers a host; an exact host covers itself. */
export function coversHost(pattern: string, host: string): boolean {
  if (pattern === host || pattern === '*') return true;
  return pattern.startsWith('*') && host.length > pattern.length - 1 && host.endsWith(pattern.slice(1));
}

interface Dated {
  metadata: { creationTimestamp?: string; namespace?: string; name?: string };
}

/** Istio's order among resources of a kind: the oldest first, then by name, then by namespace. */
export function byAge(a: Dated, b: Dated): number {
  const ages = compare(a.metadata.creationTimestamp ?? '', b.metadata.creationTimestamp ?? '');
  return (
    ages ||
    compare(a.metadata.name ?? '', b.metadata.name ?? '') ||
    compare(a.metadata.namespace ?? '', b.metadata.namespace ?? '')
  );
}

/** EnvoyFilters: those of lower priority first, of these the older. */
export function byPriority(a: Dated & Prioritized, b: Dated & Prioritized): number {
  return (a.spec.priority ?? 0) - (b.spec.priority ?? 0) || byAge(a, b);
}

interface Prioritized {
  spec: { priority?: number };
}

export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
