import test from 'ava';
import fc from 'fast-check';
import type { ServiceEntry } from '../../api/istio/service-entry.ts';
import { addressesFor, allocateAddresses, hostsToAllocate, optOutLabel } from './address-allocation.ts';
import { noObjects } from './objects.ts';
import { buildSnapshot } from './snapshot.ts';

const entry = (name: string, spec: Partial<ServiceEntry['spec']>, metadata: ServiceEntry['metadata'] = {}) =>
  ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'ServiceEntry',
    metadata: { name, namespace: 'shop', ...metadata },
    spec: { hosts: [`${name}.example.com`], resolution: 'DNS', ...spec },
  }) as ServiceEntry;

const addressesOf = (entries: readonly ServiceEntry[], limit?: number) =>
  new Map(
    [...allocateAddresses(entries, limit).addresses].map(([{ metadata }, hosts]) => [
      metadata.name,
      [...hosts.values()],
    ]),
  );

test("whose hosts get an address is Istio's rule", (t) => {
  t.deepEqual(hostsToAllocate(entry('a', { hosts: ['a.com', '*.a.com', 'b.com', 'a.com'] })), ['a.com', 'b.com']);
  t.deepEqual(hostsToAllocate(entry('a', { resolution: 'STATIC' })), ['a.example.com']);
  t.deepEqual(hostsToAllocate(entry('a', { resolution: 'DYNAMIC_DNS', hosts: ['*.a.com'] })), ['*.a.com']);
  t.deepEqual(hostsToAllocate(entry('a', { resolution: 'NONE' })), []);
  t.deepEqual(hostsToAllocate(entry('a', { resolution: undefined })), []);
  t.deepEqual(hostsToAllocate(entry('a', { addresses: ['10.0.0.1'] })), []);
  t.deepEqual(hostsToAllocate(entry('a', {}, { labels: { [optOutLabel]: 'False' } })), []);
  t.deepEqual(hostsToAllocate(entry('a', {}, { labels: { [optOutLabel]: 'true' } })), ['a.example.com']);
});

const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,6}$/), { minLength: 1, maxLength: 40 });
/** Few places, so that entries collide. */
const limits = fc.constantFrom(2, 13, 53, 65_521);

test('the same entries get the same addresses in any order, each its own, all of the range', (t) => {
  fc.assert(
    fc.property(names, limits, fc.infiniteStream(fc.nat()), (all, limit, numbers) => {
      const entries = all.map((name, i) => entry(name, {}, { creationTimestamp: `2026-01-0${(i % 9) + 1}T00:00:00Z` }));
      const mixed = entries
        .map((each) => ({ each, key: numbers.next().value as number }))
        .sort((a, b) => a.key - b.key)
        .map(({ each }) => each);
      const straight = allocateAddresses(entries, limit);
      t.deepEqual(addressesOf(mixed, limit), addressesOf(entries, limit));
      const given = [...straight.addresses.values()].flatMap((hosts) => [...hosts.values()]);
      t.is(new Set(given).size, given.length);
      t.is(given.length, Math.min(entries.length, limit));
      t.is(straight.exhausted.length, entries.length - given.length);
      for (const address of given) t.regex(address, /^240\.240\.\d{1,3}\.\d{1,3}$/);
      t.false(given.includes('240.240.0.0'));
    }),
    { numRuns: 100 },
  );
});

test('a younger entry moves no older one', (t) => {
  fc.assert(
    fc.property(names, limits, (all, limit) => {
      const entries = all.map((name) => entry(name, {}, { creationTimestamp: '2026-01-01T00:00:00Z' }));
      const before = addressesOf(entries, limit);
      const young = entry('young-one', {}, { creationTimestamp: '2026-01-02T00:00:00Z' });
      const after = addressesOf([young, ...entries], limit);
      for (const [name, addresses] of before) t.deepEqual(after.get(name), addresses);
    }),
    { numRuns: 100 },
  );
});

test('an entry that goes away moves none that had not met it', (t) => {
  const entries = Array.from({ length: 200 }, (_, i) => entry(`e${i}`, {}));
  const before = addressesOf(entries);
  const after = addressesOf(entries.slice(1));
  t.is([...after].filter(([name, addresses]) => before.get(name)?.join() !== addresses.join()).length, 0);
});

test("an address that an entry names itself is nobody else's", (t) => {
  const [[, [taken]]] = addressesOf([entry('a', {})]);
  const both = addressesOf([entry('a', {}), entry('fixed', { addresses: [taken, '240.240.256.1', '240.240.0.0/24'] })]);
  t.not(both.get('a')?.[0], taken);
});

test('an unchanged entry stands for the same services, unless its address moved', (t) => {
  const [a, b] = [entry('a', {}), entry('b', {})];
  const objects = (...entries: ServiceEntry[]) => ({
    ...noObjects,
    serviceEntries: new Map(entries.map((each) => [`shop/${each.metadata.name}`, each])),
  });
  const first = buildSnapshot(objects(a), null);
  const second = buildSnapshot(objects(a, b), first);
  t.is(second.serviceByHost.get('a.example.com'), first.serviceByHost.get('a.example.com'));
  const service = second.serviceByHost.get('a.example.com')!;
  t.deepEqual(addressesFor(service, { capturesDns: false }), []);
  t.regex(addressesFor(service, { capturesDns: true })[0], /^240\.240\./);
  const taken = entry('c', { addresses: [service.allocated ?? ''] });
  const third = buildSnapshot(objects(a, b, taken), second);
  t.not(third.serviceByHost.get('a.example.com')?.allocated, service.allocated);
});
