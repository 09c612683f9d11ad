/**
 * Addresses for ServiceEntries without any, so that DNS has something to answer and TCP services of one port can be told apart.
 *
 * Whose: resolution other than NONE, no `spec.addresses`, label `networking.istio.io/enable-autoallocate-ip` not "false", and of its hosts
 * each that is no wildcard, or any of resolution DYNAMIC_DNS (Istio: pilot/pkg/networking/serviceentry/ip_autoallocation.go
 * `shouldV2AutoAllocateIPFromPieces`, pilot/pkg/controllers/ipallocate/ipallocate.go `keepHost`). For whom: proxies that capture DNS
 * (Istio: pilot/pkg/model/service.go `nodeUsesAutoallocatedIPs`); see `addressesFor`.
 *
 * Istio's leader hands addresses out in turn and keeps them in the status; here they follow from the entries alone, so that every replica
 * comes to the same without a word to the others. A key has its places in a fixed order, and entries choose by age:
 *
 *     sha256(namespace/name/host) ─► first place, step     place i = (first + i · step) mod 65521, a prime: every place is visited
 *
 * An entry that is added so takes nothing from an older one, and one that goes away moves only those that had met it.
 */
import { hash } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { ServiceEntry } from '../../api/istio/service-entry.ts';
import { byAge } from './selector.ts';
import type { Service } from './service.ts';

/** 240.240.0.0/16 (`PILOT_IP_AUTOALLOCATE_IPV4_PREFIX`), of which the addresses 240.240.0.1 to 240.240.255.241. */
const prefix = '240.240.';
const places = 65_521;

export const optOutLabel = 'networking.istio.io/enable-autoallocate-ip';

export interface Allocation {
  /** By host, for each entry that has any. */
  readonly addresses: ReadonlyMap<ServiceEntry, ReadonlyMap<string, string>>;
  /** Entries of which a host found no free address. */
  readonly exhausted: readonly ServiceEntry[];
}

/** The hosts of an entry that are to have an address; empty when the entry is not one of those above. */
export function hostsToAllocate({ metadata, spec }: ServiceEntry): readonly string[] {
  if (spec.resolution === undefined || spec.resolution === 'NONE') return [];
  if (spec.addresses?.length || metadata.labels?.[optOutLabel]?.toLowerCase() === 'false') return [];
  return [...new Set(spec.hosts ?? [])].filter((host) => !host.includes('*') || spec.resolution === 'DYNAMIC_DNS');
}

/**
 * The same for the same entries, in whatever order they come. Addresses of the range that an entry names itself are nobody else's.
 * `limit` is how many places there are, for tests: a prime.
 */
export function allocateAddresses(entries: Iterable<ServiceEntry>, limit: number = places): Allocation {
  const byPlace = new Set<number>();
  const waiting: ServiceEntry[] = [];
  for (const entry of entries) {
    for (const address of entry.spec.addresses ?? []) {
      const place = placeOf(address);
      if (place !== null) byPlace.add(place);
    }
    if (hostsToAllocate(entry).length > 0) waiting.push(entry);
  }
  const addresses = new Map<ServiceEntry, ReadonlyMap<string, string>>();
  const exhausted: ServiceEntry[] = [];
  let isFull = false;
  for (const entry of waiting.sort(byAge)) {
    const own = new Map<string, string>();
    let isShort = false;
    for (const host of hostsToAllocate(entry)) {
      const place = isFull
        ? null
        : freePlace(`${entry.metadata.namespace}/${entry.metadata.name}/${host}`, byPlace, limit);
      if (place === null) {
        // Every place was visited: there is no need to look again for the next one.
        isFull = true;
        isShort = true;
      } else {
        byPlace.add(place);
        own.set(host, addressAt(place));
      }
    }
    if (own.size > 0) addresses.set(entry, own);
    if (isShort) exhausted.push(entry);
  }
  return { addresses, exhausted };
}

/** Null when every one is taken. */
function freePlace(key: string, taken: ReadonlySet<number>, limit: number): number | null {
  const digest = hash('sha256', key, 'buffer');
  const step = limit === 1 ? 0 : 1 + (digest.readUInt32BE(4) % (limit - 1));
  let place = digest.readUInt32BE(0) % limit;
  for (let tried = 0; tried < limit; tried++) {
    if (!taken.has(place)) return place;
    place = (place + step) % limit;
  }
  return null;
}

function addressAt(place: number): string {
  const number = place + 1;
  return `${prefix}${number >> 8}.${number & 255}`;
}

/** Of an address of the range; null for any other. */
function placeOf(address: string): number | null {
  if (!address.startsWith(prefix) || !isIPv4(address)) return null;
  const [, , third, fourth] = address.split('.').map(Number);
  return third * 256 + fourth - 1;
}

/** The addresses at which proxies know a service: its own, else the one that was allocated, where the proxy answers DNS with it. */
export function addressesFor(service: Service, { capturesDns }: { capturesDns: boolean }): readonly string[] {
  if (service.addresses.length > 0 || service.allocated === null || !capturesDns) return service.addresses;
  return [service.allocated];
}
