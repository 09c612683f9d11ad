import type { RingSettings } from '../../config/table.ts';
import type { Balance, Weighed } from './balance.ts';
import { hashKey, keyOrDrawn } from './hash-key.ts';
import { xxHash64 } from './xxhash.ts';

const all = (1n << 64n) - 1n;

/**
 * Maglev's table (Eisenbud et al., NSDI 2016, §3.4): every host fills its own permutation of the places in turn, the heavier more
 * often, with the hashes that Envoy uses.
 */
export function maglev(hosts: readonly Weighed[], settings: RingSettings): Balance {
  const size = settings.tableSize;
  const table = new Int32Array(size).fill(-1);
  const total = hosts.reduce((sum, { weight }) => sum + weight, 0);
  // Shares, not weights: whoever rounds as Envoy does fills the same table.
  const heaviest = Math.max(...hosts.map(({ weight }) => weight / total));
  const walks = hosts
    .map(({ host, weight }, place) => {
      const key = hashKey(host, settings);
      return {
        place,
        key,
        share: weight / total,
        at: Number(xxHash64(key) % BigInt(size)),
        step: Number(xxHash64(key, 1n) % BigInt(size - 1)) + 1,
        target: 0,
      };
    })
    // The table is the same in whichever order hosts are told of.
    .sort((a, b) => (a.key < b.key ? -1 : 1));
  for (let filled = 0, round = 1; filled < size; round++) {
    for (const walk of walks) {
      if (filled === size) break;
      if (round * walk.share < walk.target) continue;
      walk.target += heaviest;
      while (table[walk.at] >= 0) walk.at = (walk.at + walk.step) % size;
      table[walk.at] = walk.place;
      walk.at = (walk.at + walk.step) % size;
      filled++;
    }
  }
  return {
    choose(hash, attempt) {
      let key = keyOrDrawn(hash);
      // Another place of the table for another attempt, as Envoy does.
      if (attempt > 0) key ^= all - BigInt(attempt) + 1n;
      return hosts[table[Number(key % BigInt(size))]].host;
    },
  };
}
