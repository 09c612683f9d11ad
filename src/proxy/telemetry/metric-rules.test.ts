import test from 'ava';
import fc from 'fast-check';
import { startFromFile } from '../agent/file.ts';
import { parseBootstrap } from '../config/bootstrap.ts';
import { Caller, ok } from '../testing/peers.ts';
import { get, originFor, startedByTest } from '../testing/proxy.ts';
import { createLog } from './log.ts';
import { underRules } from './metric-rules.ts';
import type { Stat } from './stat.ts';

const family = 'istio_requests_total';
const series = (reporter: string, code: string, path: string, value: number): Stat => {
  const labels = `reporter="${reporter}",response_code="${code}",path="${path}"`;
  return { name: `${family}{${labels}}`, family, labels, kind: 'counter', value, histogram: null };
};

test('series that differ in nothing but a label that is taken away are added up', (t) => {
  const one = fc.record({
    reporter: fc.constantFrom('source', 'destination'),
    code: fc.constantFrom('200', '503'),
    path: fc.constantFrom('/a', '/b\\"', ''),
    value: fc.nat(1000),
  });
  const key = ({ reporter, code, path }: { reporter: string; code: string; path: string }) =>
    `${reporter} ${code} ${path}`;
  fc.assert(
    fc.property(fc.uniqueArray(one, { selector: key }), (given) => {
      const list = given.map(({ reporter, code, path, value }) => series(reporter, code, path, value));
      const kept = underRules(list, { client: { remove: { [family]: ['path'] } } });
      const sum = (stats: readonly Stat[]) => stats.reduce((total, { value }) => total + value, 0);
      t.is(sum(kept), sum(list));
      t.is(new Set(kept.map(({ name }) => name)).size, kept.length);
      for (const { labels } of kept) t.is(labels.includes('path='), labels.includes('destination'));
    }),
  );
});

test('a metric is dropped on the side that is meant', (t) => {
  const list = [series('source', '200', '/', 1), series('destination', '200', '/', 2)];
  const kept = underRules(list, { client: { drop: [family] }, server: { drop: ['istio_request_bytes'] } });
  t.deepEqual(
    kept.map(({ value }) => value),
    [2],
  );
});

test('a proxy tells what the metadata of its listeners leaves', async (t) => {
  const origin = await originFor(t, () => ok('hello'));
  const bootstrap = parseBootstrap(`
node: {id: sidecar~127.0.0.1~front-1.shop~shop.svc.cluster.local, cluster: front, metadata: {WORKLOAD_NAME: front, NAMESPACE: shop}}
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
static_resources:
  listeners:
  - name: main
    metadata: {filter_metadata: {lateen.metrics: {client: {drop: [istio_request_bytes], remove: {istio_requests_total: [source_workload]}}}}}
    traffic_direction: OUTBOUND
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: x
          route_config: {name: r, virtual_hosts: [{name: vh, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: c}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  clusters:
  - name: c
    connect_timeout: 1s
    type: STATIC
    load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${origin.port}}}}}]}]}
`);
  const proxy = await startFromFile(
    bootstrap,
    startedByTest,
    createLog('none', false, () => {}),
  );
  t.teardown(async () => {
    proxy.lifecycle.quit();
    await proxy.ended;
  });
  const caller = await Caller.to(proxy.plane.portOf('main'));
  t.teardown(() => caller.stop());
  t.regex(await caller.send(get('/')).responses(), /hello$/);
  const text = await (await fetch(`http://127.0.0.1:${proxy.adminPort}/stats/prometheus`)).text();
  t.regex(text, /^istio_requests_total\{reporter="source",source_canonical_service="[^\n]* 1$/m);
  t.regex(text, /^istio_response_bytes_count\{reporter="source",source_workload="front",/m);
  t.notRegex(text, /istio_request_bytes/);
});
