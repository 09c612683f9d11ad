import type { RingSettings } from '../../config/table.ts';
import type { Balance, Weighed } from './balance.ts';
import { hashKey, keyOrDrawn } from './hash-key.ts';
import { murmurHash2 } from './murmur-hash.ts';
import { xxHash64 } from './xxhash.ts';

/** A ring that takes longer to make than a push may take helps nobody. */
const maxPoints = 65_536;

/**
 * Consistent hashing on a ring, each host on it in proportion to its weight. Places are made as Envoy makes them (Envoy documentation,
 * "Ring hash"): `KEY_0`, `KEY_1`, … of a host's address, by xxHash64 or MurmurHash2.
 */
export function ringHash(hosts: readonly Weighed[], settings: RingSettings): Balance {
  const total = hosts.reduce((sum, { weight }) => sum + weight, 0);
  const least = Math.min(...hosts.map(({ weight }) => weight)) / total;
  const scale = Math.min(Math.ceil(least * settings.min) / least, settings.max, maxPoints);
  const points: Array<{ hash: bigint; place: number }> = [];
  let wanted = 0;
  for (const [place, { host, weight }] of hosts.entries()) {
    const key = `${hashKey(host, settings)}_`;
    wanted += (scale * weight) / total;
    for (let i = 0; points.length < wanted; i++)
      points.push({ hash: settings.murmur ? murmurHash2(`${key}${i}`) : xxHash64(`${key}${i}`), place });
  }
  points.sort((a, b) => (a.hash < b.hash ? -1 : a.hash > b.hash ? 1 : 0));
  const hashes = BigUint64Array.from(points, ({ hash }) => hash);
  return {
    choose(hash, attempt) {
      const key = keyOrDrawn(hash);
      let low = 0;
      let high = hashes.length;
      while (low < high) {
        const middle = (low + high) >>> 1;
        if (hashes[middle] < key) low = middle + 1;
        else high = middle;
      }
      return hosts[points[(low + attempt) % points.length].place].host;
    },
  };
}
