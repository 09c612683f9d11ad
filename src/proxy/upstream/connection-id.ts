let last = 0;

/** Numbers the upstream connections of this process, whichever protocol they speak. */
export function nextConnectionId(): number {
  return ++last;
}
