/**
 * Strategic merge of a partial pod over a pod, as `kubectl patch` does it: mappings merge by key, the lists below merge by
 * the key that Kubernetes gives them (API reference, "patch strategy: merge on key"), every other value is replaced.
 */

type Json = Record<string, unknown>;

const mergeKeys: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  ephemeralContainers: 'name',
  volumes: 'name',
  imagePullSecrets: 'name',
  env: 'name',
  ports: 'containerPort',
  volumeMounts: 'mountPath',
  volumeDevices: 'devicePath',
  hostAliases: 'ip',
  topologySpreadConstraints: 'topologyKey',
  sysctls: 'name',
};

/** A volume has one source and an environment variable one value: merged, two of them would stand side by side and be refused. */
const replacedWhole: ReadonlySet<string> = new Set(['env', 'volumes']);

/** Returns a new value; a null in `overlay` removes the key. What merges into a list keeps its place, what is new comes last. */
export function mergeObjects<T extends object>(base: T, overlay: object): T {
  const merged: Json = { ...(base as Json) };
  for (const [key, value] of Object.entries(overlay)) {
    if (value === undefined) continue;
    if (value === null) delete merged[key];
    else merged[key] = mergeValues(key, merged[key], value);
  }
  return merged as T;
}

function mergeValues(key: string, base: unknown, overlay: unknown): unknown {
  if (Array.isArray(base) && Array.isArray(overlay) && Object.hasOwn(mergeKeys, key))
    return mergeLists(base, overlay, mergeKeys[key], replacedWhole.has(key));
  if (isMapping(base) && isMapping(overlay)) return mergeObjects(base, overlay);
  return structuredClone(overlay);
}

function mergeLists(base: unknown[], overlay: unknown[], key: string, whole: boolean): unknown[] {
  const merged = [...base];
  for (const item of overlay) {
    const at = isMapping(item) ? merged.findIndex((other) => isMapping(other) && sameItem(other, item, key)) : -1;
    if (at < 0) merged.push(structuredClone(item));
    else if (whole) merged[at] = structuredClone(item);
    else merged[at] = mergeObjects(merged[at] as Json, item as Json);
  }
  return merged;
}

/** Ports of two protocols may share their number. */
function sameItem(one: Json, other: Json, key: string): boolean {
  if (one[key] !== other[key]) return false;
  return key !== 'containerPort' || (one.protocol ?? 'TCP') === (other.protocol ?? 'TCP');
}

function isMapping(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
