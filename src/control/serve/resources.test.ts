import { create, fromBinary } from '@bufbuild/protobuf';
import test from 'ava';
import fc from 'fast-check';
import { VirtualHostSchema } from '../../xds/gen/envoy/config/route/v3/route_components_pb.js';
import { RouteConfigurationSchema } from '../../xds/gen/envoy/config/route/v3/route_pb.js';
import { encodeResources } from './resources.ts';

test('routes put together from virtual hosts are the message; the same ones have the same version', (t) => {
  const host = fc.record({
    name: fc.string(),
    domains: fc.array(fc.string({ maxLength: 300 })),
    includeRequestAttemptCount: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(host), fc.boolean(), (hosts, ignorePortInHostMatching) => {
      const made = () =>
        create(RouteConfigurationSchema, {
          name: '80',
          ignorePortInHostMatching,
          virtualHosts: hosts.map((each) => create(VirtualHostSchema, each)),
        });
      const message = made();
      const [{ any, version }] = encodeResources('', { route: [message] }).types.route.values();
      t.deepEqual(fromBinary(RouteConfigurationSchema, any.value), message);
      t.is([...encodeResources('', { route: [made()] }).types.route.values()][0].version, version);
    }),
  );
});
