/**
 * The value without fields that are `null`: the API server drops them before it validates or stores (an exception are
 * entries of lists, which it refuses). Gives back the very same value when it has none.
 */
export function withoutNulls<T>(value: T): T {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) {
    const items = value.map((item) => withoutNulls(item));
    return items.some((item, i) => item !== value[i]) ? (items as T) : value;
  }
  const kept: Record<string, unknown> = {};
  let changed = false;
  for (const [key, field] of Object.entries(value)) {
    if (field === null) {
      changed = true;
      continue;
    }
    const inner = withoutNulls(field);
    if (inner !== field) changed = true;
    kept[key] = inner;
  }
  return changed ? (kept as T) : value;
}
