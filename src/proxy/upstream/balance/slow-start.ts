import type { SlowStart } from '../../config/table.ts';
import type { Host } from '../host.ts';

/**
 * The share of its weight that a host has so soon after it came or recovered (Envoy documentation, "Slow start mode"): time over
 * window, to the power of 1 / aggression, and not less than the least share.
 */
export function slowStartShare(slow: SlowStart | null, { sinceTick }: Host, now: number): number {
  if (slow === null || now - sinceTick >= slow.windowMs) return 1;
  const time = Math.max(1000, now - sinceTick) / Math.max(1000, slow.windowMs);
  return Math.max(slow.leastShare, Math.min(1, time) ** (1 / slow.aggression));
}
