/** The `http` rules of a VirtualService with those of its delegates in their places (istio.io/latest/docs/reference/config/networking/virtual-service/#Delegate). */
import type { HttpMatchRequest, HttpRoute, VirtualService } from '../../api/istio/virtual-service.ts';
import { type Origin, originOf } from './origin.ts';
import { isVisible } from './selector.ts';

export interface Rule {
  readonly rule: HttpRoute;
  /** Whose it is: short host names are of its namespace. A route of the Gateway API where the rule was made of one. */
  readonly owner: Origin['owner'];
  /** `spec.http[2]`, in the owner. */
  readonly path: string;
}

export interface Rules {
  readonly rules: readonly Rule[];
  /** What cannot take effect. */
  readonly faults: ReadonlyArray<{ readonly owner: Origin['owner']; readonly path: string; readonly message: string }>;
}

type ByName = ReadonlyMap<string, VirtualService>;

export function rulesOf(
  resource: VirtualService,
  virtualServices: ByName,
  defaultExportTo: readonly string[] | undefined,
): Rules {
  const rules: Rule[] = [];
  const faults: Array<Rules['faults'][number]> = [];
  const own = resource.metadata.namespace ?? '';
  for (const [i, rule] of (resource.spec.http ?? []).entries()) {
    const path = `spec.http[${i}]`;
    if (rule.delegate === undefined) {
      rules.push({ rule, owner: resource, path, ...originOf(rule) });
      continue;
    }
    const name = `${rule.delegate.namespace || own}/${rule.delegate.name ?? ''}`;
    const delegate = virtualServices.get(name);
    const exportTo = delegate?.spec.exportTo?.length ? delegate.spec.exportTo : defaultExportTo;
    const fault = (message: string) => faults.push({ owner: resource, path: `${path}.delegate`, message });
    if (!delegate) fault(`no VirtualService is named "${name}"`);
    else if ((delegate.spec.hosts?.length ?? 0) > 0)
      fault(`VirtualService "${name}" has hosts of its own and so is no delegate`);
    else if (!isVisible(exportTo, delegate.metadata.namespace ?? '', own))
      fault(`VirtualService "${name}" is not exported to namespace ${own}`);
    else
      for (const [j, inner] of (delegate.spec.http ?? []).entries()) {
        const merged = mergedRule(rule, inner);
        const at = `spec.http[${j}]`;
        if (merged) rules.push({ rule: merged, owner: delegate, path: at });
        else
          faults.push({
            owner: delegate,
            path: `${at}.match`,
            message: `cannot be met together with what ${own}/${resource.metadata.name} asks for before it delegates`,
          });
      }
  }
  return { rules, faults };
}

/** Null when nothing could match both. */
function mergedRule(root: HttpRoute, inner: HttpRoute): HttpRoute | null {
  const outer = root.match?.length ? root.match : [{}];
  const own = inner.match?.length ? inner.match : [{}];
  const match = outer.flatMap((one) => own.flatMap((other) => mergedMatch(one, other) ?? []));
  if (match.length === 0) return null;
  const { delegate: _, match: __, name, headers, ...rest } = root;
  const isUnconditional = match.some((one) => Object.keys(one).length === 0);
  return {
    ...rest,
    ...inner,
    name: [name, inner.name].filter(Boolean).join('-') || undefined,
    match: isUnconditional ? undefined : match,
    headers: mergedHeaders(headers, inner.headers),
  };
}

type Headers = HttpRoute['headers'];

function mergedHeaders(root: Headers, inner: Headers): Headers {
  if (!root || !inner) return inner ?? root;
  const side = (name: 'request' | 'response') => {
    const [a, b] = [root[name], inner[name]];
    if (!a || !b) return b ?? a;
    return {
      set: { ...a.set, ...b.set },
      add: { ...a.add, ...b.add },
      remove: [...(a.remove ?? []), ...(b.remove ?? [])],
    };
  };
  return { request: side('request'), response: side('response') };
}

type Text = NonNullable<HttpMatchRequest['uri']>;

/** What both ask of one text: the narrower of the two; undefined when neither asks, null when they cannot be met together. */
function narrower(root: Text | undefined, inner: Text | undefined): Text | undefined | null {
  if (!root || !inner) return inner ?? root;
  if (root.regex !== undefined || inner.regex !== undefined) return null;
  if (root.exact !== undefined) return inner.exact === root.exact ? inner : null;
  const start = root.prefix ?? '';
  return (inner.exact ?? inner.prefix ?? '').startsWith(start) ? inner : null;
}

function mergedTexts(
  root: Readonly<Record<string, Text>> | undefined,
  inner: Readonly<Record<string, Text>> | undefined,
): Record<string, Text> | undefined | null {
  if (!root || !inner) return (inner ?? root) as Record<string, Text> | undefined;
  const merged: Record<string, Text> = { ...root, ...inner };
  for (const name of Object.keys(root)) {
    if (!Object.hasOwn(inner, name)) continue;
    const both = narrower(root[name], inner[name]);
    if (!both) return null;
    merged[name] = both;
  }
  return merged;
}

function mergedMatch(root: HttpMatchRequest, inner: HttpMatchRequest): HttpMatchRequest | null {
  const merged: Record<string, unknown> = { ...root, ...inner };
  for (const field of ['uri', 'scheme', 'method', 'authority'] as const)
    merged[field] = narrower(root[field], inner[field]);
  for (const field of ['headers', 'withoutHeaders', 'queryParams'] as const)
    merged[field] = mergedTexts(root[field], inner[field]);
  if (Object.values(merged).includes(null)) return null;
  for (const field of ['port', 'sourceNamespace'] as const)
    if (root[field] && inner[field] && root[field] !== inner[field]) return null;
  for (const [name, value] of Object.entries(root.sourceLabels ?? {}))
    if ((inner.sourceLabels?.[name] ?? value) !== value) return null;
  if (root.sourceLabels || inner.sourceLabels) merged.sourceLabels = { ...root.sourceLabels, ...inner.sourceLabels };
  if (root.gateways?.length && inner.gateways?.length) {
    if (inner.gateways.some((name) => !root.gateways?.includes(name))) return null;
  } else merged.gateways = inner.gateways?.length ? inner.gateways : root.gateways;
  merged.name = [root.name, inner.name].filter(Boolean).join('-') || undefined;
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined)) as HttpMatchRequest;
}
