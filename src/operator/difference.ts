/**
 * Whether a live object still is what was applied: every field that is wanted is there with the wanted value. Fields that
 * others added (defaults, an autoscaler's replicas, `caBundle`) do not matter, as in server-side apply.
 */

/** Path of the first wanted field that the live object lacks or has otherwise, null when there is none. */
export function firstDifference(live: unknown, wanted: unknown, path = ''): string | null {
  if (isEmpty(wanted)) return live === undefined || isEmpty(live) || typeof live === 'object' ? null : path;
  if (Array.isArray(wanted)) {
    if (!Array.isArray(live)) return path;
    return differenceInList(live, wanted, path);
  }
  if (typeof wanted === 'object' && wanted !== null) {
    if (typeof live !== 'object' || live === null || Array.isArray(live)) return path;
    for (const [key, value] of Object.entries(wanted)) {
      if (value === undefined) continue;
      const found = firstDifference((live as { [key: string]: unknown })[key], value, path ? `${path}.${key}` : key);
      if (found !== null) return found;
    }
    return null;
  }
  if (live === wanted) return null;
  return sameQuantity(live, wanted, path) ? null : path;
}

/** The API server drops empty values of most fields when it stores an object. */
function isEmpty(value: unknown): boolean {
  if (value === '' || value === false || value === 0 || value === null || value === undefined) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function differenceInList(live: unknown[], wanted: unknown[], path: string): string | null {
  if (live.length === wanted.length) {
    let found: string | null = null;
    for (let i = 0; i < wanted.length && found === null; i++)
      found = firstDifference(live[i], wanted[i], `${path}[${i}]`);
    if (found === null) return null;
    if (!wanted.every(hasKey)) return found;
  } else if (!wanted.every(hasKey)) return path;
  // A list with keys: others may have added elements of their own, in any place.
  for (const [i, element] of wanted.entries()) {
    const key = keyOfElement(element);
    const twin = live.find((each) => keyOfElement(each) === key);
    const found = firstDifference(twin, element, `${path}[${i}]`);
    if (found !== null) return found;
  }
  return null;
}

const hasKey = (element: unknown): boolean => keyOfElement(element) !== null;

/** By the keys of Kubernetes' associative lists: containers, env, ports, volumes, mounts, webhooks, versions, conditions. */
function keyOfElement(element: unknown): string | null {
  if (typeof element !== 'object' || element === null) return null;
  const { name, mountPath, containerPort, protocol = 'TCP', kind = '' } = element as { [key: string]: unknown };
  if (typeof mountPath === 'string') return `mountPath ${mountPath}`;
  if (typeof containerPort === 'number') return `containerPort ${containerPort}/${protocol}`;
  return typeof name === 'string' ? `name ${kind} ${name}` : null;
}

const quantityFields = /(^|\.)(requests|limits|hard|capacity)\.[^.]+$|\.divisor$|\.averageValue$|\.sizeLimit$/;
const suffixes: { [suffix: string]: number } = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** `1000m` is stored as `1`, `1024Mi` as `1Gi` (resource.Quantity's canonical form). */
function sameQuantity(live: unknown, wanted: unknown, path: string): boolean {
  if (!quantityFields.test(path)) return false;
  const a = quantity(live);
  const b = quantity(wanted);
  return a !== null && b !== null && Math.abs(a - b) <= Math.abs(b) * 1e-12;
}

function quantity(value: unknown): number | null {
  const match = /^([+-]?[0-9.]+)([eE][+-]?[0-9]+)?([a-zA-Z]*)$/.exec(String(value));
  if (!match || !Object.hasOwn(suffixes, match[3])) return null;
  return Number(match[1] + (match[2] ?? '')) * suffixes[match[3]];
}
