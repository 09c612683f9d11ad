/** What a proxy says of its configuration: Envoy's admin pages, whichever proxy it is (envoyproxy.io/docs/envoy/latest/operations/admin). */

type Json = Readonly<Record<string, unknown>>;

export interface Section extends Json {
  readonly '@type': string;
}

export interface Dump {
  readonly configs: readonly Section[];
}

/** Throws a SyntaxError when it is none. */
export function readDump(text: string): Dump {
  const parsed = JSON.parse(text) as Partial<Dump> | null;
  if (!Array.isArray(parsed?.configs)) throw new SyntaxError('has no "configs": it is no configuration dump');
  return parsed as Dump;
}

export function section(dump: Dump, kind: string): Json {
  return dump.configs.find(({ '@type': type }) => type.endsWith(`.${kind}`)) ?? {};
}

/** Entries of a section, each the value of its own field. */
export function entries<T = Json>(part: Json, lists: readonly string[], field: string): T[] {
  return lists.flatMap((list) => ((part[list] ?? []) as Json[]).flatMap((entry) => (entry[field] ?? []) as T));
}

/** `outbound|9080|v1|reviews.default.svc.cluster.local` taken apart; null for other names. */
export function clusterName(name: string): { direction: string; port: string; subset: string; host: string } | null {
  const parts = name.split('|');
  if (parts.length !== 4) return null;
  const [direction, port, subset, host] = parts;
  return { direction, port, subset, host };
}

/** `reviews.default`: of the API path that our and Istio's control plane leave in metadata. */
export function configName(metadata: unknown): string {
  const path = (metadata as { filter_metadata?: { istio?: { config?: string } } } | undefined)?.filter_metadata?.istio
    ?.config;
  const found = /\/namespaces\/([^/]+)\/[^/]+\/([^/]+)$/.exec(path ?? '');
  return found ? `${found[2]}.${found[1]}` : '';
}
