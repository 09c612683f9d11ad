import type { Host } from '../host.ts';
import type { Balance, Weighed } from './balance.ts';

/** How full a host is: 1 is as much as it may have. */
function overload(host: Host, share: number, active: number, factorPercent: number): number {
  const slots = Math.floor(((active + 1) * factorPercent + 99) / 100);
  return host.active / Math.max(1, Math.ceil(slots * share));
}

/**
 * No host gets more than `factorPercent` of the average (Mirrokni et al., "Consistent Hashing with Bounded Loads"; Envoy:
 * hash_balance_factor). A key whose host is full goes to the others in an order of its own.
 */
export function boundedLoad(inner: Balance, members: readonly Weighed[], factorPercent: number): Balance {
  const whole = members.reduce((sum, { weight }) => sum + weight, 0);
  const shares = new Map(members.map(({ host, weight }) => [host, weight / whole]));
  return {
    choose(hash, attempt) {
      const host = inner.choose(hash, attempt);
      let active = 0;
      for (const member of members) active += member.host.active;
      let least = overload(host, shares.get(host) ?? 1, active, factorPercent);
      if (least <= 1) return host;
      let chosen = host;
      let state = Number((hash ?? 0n) & 0xffff_ffffn) | 1;
      const order = members.slice();
      for (let i = 0; i < order.length; i++) {
        // xorshift: the same key makes the same order.
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        const j = i + ((state >>> 0) % (order.length - i));
        [order[i], order[j]] = [order[j], order[i]];
        const other = order[i];
        if (other.host === host) continue;
        const full = overload(other.host, other.weight / whole, active, factorPercent);
        if (full <= 1) return other.host;
        if (full < least) {
          least = full;
          chosen = other.host;
        }
      }
      return chosen;
    },
  };
}
