import type { Patch } from './patch.ts';

/**
 * A list with one more item, or one in place of those that match. Without anything to match, before is first and after is last; what
 * is to stand beside something that is not there is left out (istio.io, EnvoyFilter, Patch.Operation).
 */
export function inserted<T>(
  list: readonly T[],
  operation: Patch['operation'],
  item: T,
  isMatch: ((item: T) => boolean) | null,
): T[] {
  if (operation === 'ADD') return [...list, item];
  if (operation === 'INSERT_FIRST') return [item, ...list];
  if (operation === 'REPLACE') return isMatch === null ? [...list] : list.map((each) => (isMatch(each) ? item : each));
  if (operation !== 'INSERT_BEFORE' && operation !== 'INSERT_AFTER') return [...list];
  const before = operation === 'INSERT_BEFORE';
  if (isMatch === null) return before ? [item, ...list] : [...list, item];
  const at = list.findIndex(isMatch);
  return at < 0 ? [...list] : list.toSpliced(before ? at : at + 1, 0, item);
}
