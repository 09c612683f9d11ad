import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import test from 'ava';
import fc from 'fast-check';
import { RouteConfigurationSchema } from './gen/envoy/config/route/v3/route_pb.js';
import { applyPatch, hostName, joinRoutes, makePatch, splitRoutes } from './route-patch.ts';

const hosts = fc.uniqueArray(
  fc.record({
    name: fc.oneof(
      fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      fc.nat(3).map((i) => `${'long'.repeat(60)}${i}`),
    ),
    domains: fc.array(fc.constantFrom('a.com', 'b.com', '*'), { maxLength: 2 }),
  }),
  { selector: ({ name }) => name, maxLength: 8 },
);
const tables = fc.record({ name: fc.constant('80'), ignorePortInHostMatching: fc.boolean(), virtualHosts: hosts });
const encoded = (table: object) => toBinary(RouteConfigurationSchema, create(RouteConfigurationSchema, table));

test('a table is the patch of any other one applied to it', (t) => {
  fc.assert(
    fc.property(tables, tables, (before, after) => {
      const [from, to] = [splitRoutes(encoded(before)), splitRoutes(encoded(after))];
      const patch = makePatch('1', from, to);
      const added = after.virtualHosts.filter(
        (host) => !before.virtualHosts.some((other) => JSON.stringify(other) === JSON.stringify(host)),
      );
      t.is(patch === null, added.length * 2 > after.virtualHosts.length);
      if (patch === null) return;
      t.deepEqual(
        fromBinary(RouteConfigurationSchema, applyPatch(encoded(before), '1', patch)),
        fromBinary(RouteConfigurationSchema, encoded(after)),
      );
    }),
  );
});

test('the parts of a table make it again, and tell its names', (t) => {
  fc.assert(
    fc.property(tables, (table) => {
      const parts = splitRoutes(encoded(table));
      t.deepEqual(
        fromBinary(RouteConfigurationSchema, joinRoutes(parts)),
        fromBinary(RouteConfigurationSchema, encoded(table)),
      );
      t.deepEqual(
        parts.hosts.map(hostName),
        table.virtualHosts.map(({ name }) => name),
      );
    }),
  );
});

test('a patch of what is not here is refused with both versions', (t) => {
  const table = encoded({ name: '80', virtualHosts: [{ name: 'a' }, { name: 'b' }] });
  const patch = makePatch('2', splitRoutes(table), splitRoutes(table))!;
  t.throws(() => applyPatch(table, '1', patch), { message: 'it changes version 2, and what is here is 1' });
  t.throws(() => applyPatch(null, undefined, patch), { message: 'it changes version 2, and what is here is none' });
  const shorter = encoded({ name: '80', virtualHosts: [{ name: 'a' }] });
  t.throws(() => applyPatch(shorter, '2', patch), { message: 'it keeps virtual hosts 0 to 1 of 1' });
});

test('bytes that are no message are refused, whatever they are', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      for (const read of [() => splitRoutes(bytes), () => applyPatch(bytes, '', bytes)])
        try {
          read();
        } catch (error) {
          if (!(error instanceof Error)) throw error;
        }
    }),
    { numRuns: 2000 },
  );
  t.throws(() => splitRoutes(Uint8Array.of(0x12, 5, 1)), { message: 'the field at byte 0 ends beyond the last of 3' });
});
