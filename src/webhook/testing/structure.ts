/** Compares two pods by what they mean: order of named lists, ways of writing an amount and JSON inside of text do not count. */

export interface Difference {
  /** `spec.containers.app.env.FOO.value` */
  path: string;
  ours: unknown;
  theirs: unknown;
}

const keys: Readonly<Record<string, string>> = {
  containers: 'name',
  initContainers: 'name',
  volumes: 'name',
  env: 'name',
  volumeMounts: 'mountPath',
  ports: 'containerPort',
};

/** Depth first; what only one side has is a difference of `undefined`. */
export function differences(ours: unknown, theirs: unknown, path = ''): Difference[] {
  const [one, other] = [normal(ours, path), normal(theirs, path)];
  if (!isMapping(one) || !isMapping(other))
    return JSON.stringify(one) === JSON.stringify(other) ? [] : [{ path, ours: one, theirs: other }];
  const names = [...new Set([...Object.keys(one), ...Object.keys(other)])];
  return names.flatMap((name) => differences(one[name], other[name], path === '' ? name : `${path}.${name}`));
}

function normal(value: unknown, path: string): unknown {
  const field = path.slice(path.lastIndexOf('.') + 1);
  if (Array.isArray(value)) {
    const key = keys[field];
    if (key && value.every(isMapping)) return Object.fromEntries(value.map((item) => [String(item[key]), item]));
    return value.map((item) => (isMapping(item) ? sorted(item) : item));
  }
  if (isMapping(value)) return Object.keys(value).length === 0 ? undefined : value;
  if (value === null || value === '' || value === 0) return undefined;
  if (typeof value !== 'string') return value;
  if (/^[[{]/.test(value.trim()))
    try {
      return sorted(withoutEmpty(JSON.parse(value)));
    } catch {
      return value;
    }
  return /\.(requests|limits)\.\w+$/.test(path) ? amount(value) : value;
}

/** Millicores or bytes. */
function amount(text: string): number {
  const [, number, unit] = /^([\d.]+)(\w*)$/.exec(text) ?? [];
  const scale: Record<string, number> = { m: 0.001, Ki: 2 ** 10, Mi: 2 ** 20, Gi: 2 ** 30, '': 1 };
  return Number(number) * scale[unit];
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isMapping(value)) return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, sorted(value[key])]),
  );
}

function withoutEmpty(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutEmpty);
  if (!isMapping(value)) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, item]) => [key, withoutEmpty(item)] as const)
      .filter(([, item]) => !(isMapping(item) && Object.keys(item).length === 0)),
  );
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
