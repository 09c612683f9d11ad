import { request } from 'node:http';
import { connect } from 'node:net';
import test, { type ExecutionContext } from 'ava';
import { type FileProxy, startFromFile } from '../agent/file.ts';
import { parseBootstrap } from '../config/bootstrap.ts';
import { createLog } from '../telemetry/log.ts';
import { Caller, ok } from '../testing/peers.ts';
import { get, originFor, startedByTest } from '../testing/proxy.ts';

interface Answer {
  readonly status: number;
  readonly body: string;
}

class Served {
  readonly proxy: FileProxy;

  private constructor(proxy: FileProxy) {
    this.proxy = proxy;
  }

  static async by(t: ExecutionContext, more = ''): Promise<Served> {
    const origin = await originFor(t, () => ok('hello world'));
    const bootstrap = parseBootstrap(`
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
node: {id: n1, cluster: c1}
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          route_config:
            name: r
            virtual_hosts:
            - name: vh
              domains: ["*"]
              routes:
              - {match: {prefix: /direct}, direct_response: {status: 201, body: {inline_string: hello}}}
              - {match: {prefix: /old}, redirect: {path_redirect: /new}}
              - {match: {prefix: /api}, route: {cluster: c}}
          http_filters:
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: c
    connect_timeout: 1s
    type: STATIC
    load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {hostname: up, address: {socket_address: {address: 127.0.0.1, port_value: ${origin.port}}}}}]}]}
${more}`);
    const proxy = await startFromFile(bootstrap, startedByTest, createLog('none'));
    t.teardown(async () => {
      proxy.lifecycle.quit();
      await proxy.ended;
    });
    return new Served(proxy);
  }

  async ask(t: ExecutionContext, ...paths: string[]): Promise<void> {
    const caller = await Caller.to(this.proxy.plane.portOf('main'));
    t.teardown(() => caller.stop());
    for (const path of paths) caller.send(get(path));
    await caller.responses(paths.length);
  }

  page(path: string, method = 'GET'): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: this.proxy.adminPort, path, method }, (response) => {
        let body = '';
        response.on('data', (piece) => {
          body += piece;
        });
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  async stats(filter: string): Promise<string[]> {
    return (await this.page(`/stats?usedonly&filter=${encodeURIComponent(filter)}`)).body.trim().split('\n');
  }
}

test("requests count under Envoy's names, by class, code and way", async (t) => {
  const served = await Served.by(t);
  await served.ask(t, '/direct', '/old', '/api/1', '/api/2', '/none');
  t.deepEqual(
    await served.stats(
      '^http\\.ingress\\.(downstream_cx_.*total|downstream_rq_.*(total|xx|completed)|no_route|rq_.*)$',
    ),
    [
      'http.ingress.downstream_cx_http1_total: 1',
      `http.ingress.downstream_cx_rx_bytes_total: ${['/direct', '/old', '/api/1', '/api/2', '/none'].join('').length + 5 * 'GET  HTTP/1.1\r\nHost: shop\r\n\r\n'.length}`,
      ...(await served.stats('downstream_cx_total|downstream_cx_tx_bytes_total$')).filter((line) =>
        line.startsWith('http'),
      ),
      'http.ingress.downstream_rq_2xx: 3',
      'http.ingress.downstream_rq_3xx: 1',
      'http.ingress.downstream_rq_4xx: 1',
      'http.ingress.downstream_rq_completed: 5',
      'http.ingress.downstream_rq_http1_total: 5',
      'http.ingress.downstream_rq_total: 5',
      'http.ingress.no_route: 1',
      'http.ingress.rq_direct_response: 2',
      'http.ingress.rq_total: 5',
    ],
  );
  t.deepEqual(await served.stats('^cluster\\.c\\..*upstream_rq_(\\d|completed)'), [
    'cluster.c.external.upstream_rq_200: 2',
    'cluster.c.external.upstream_rq_2xx: 2',
    'cluster.c.external.upstream_rq_completed: 2',
    'cluster.c.upstream_rq_200: 2',
    'cluster.c.upstream_rq_2xx: 2',
    'cluster.c.upstream_rq_completed: 2',
  ]);
  const { body } = await served.page('/stats/prometheus');
  for (const line of [
    'envoy_http_downstream_rq_xx{envoy_response_code_class="2",envoy_http_conn_manager_prefix="ingress"} 3',
    'envoy_listener_http_downstream_rq_xx{envoy_response_code_class="4",envoy_http_conn_manager_prefix="ingress",envoy_listener_address="127.0.0.1_0"} 1',
    'envoy_cluster_upstream_rq{envoy_response_code="200",envoy_cluster_name="c"} 2',
    'envoy_cluster_external_upstream_rq_xx{envoy_response_code_class="2",envoy_cluster_name="c"} 2',
    '# TYPE envoy_http_downstream_rq_time histogram',
    'envoy_http_downstream_rq_time_count{envoy_http_conn_manager_prefix="ingress"} 5',
    'envoy_listener_downstream_cx_active{envoy_listener_address="127.0.0.1_0"} 1',
    'envoy_cluster_membership_healthy{envoy_cluster_name="c"} 1',
  ])
    t.true(body.split('\n').includes(line), line);
  t.is(
    new Set(body.split('\n').filter((line) => line.startsWith('# TYPE'))).size,
    body.match(/^# TYPE/gm)?.length ?? 0,
  );

  t.deepEqual(await served.page('/reset_counters', 'POST'), { status: 200, body: 'OK\n' });
  t.deepEqual(await served.stats('^http\\.ingress\\..*rq_(total|2xx|completed)$'), ['']);
  t.deepEqual(await served.stats('^http\\.ingress\\.downstream_cx_active$'), ['http.ingress.downstream_cx_active: 1']);
});

test('parameters of /stats', async (t) => {
  const served = await Served.by(t);
  await served.ask(t, '/direct');
  const json = JSON.parse((await served.page('/stats?format=json&filter=ingress.downstream_rq_(2xx|time)$')).body);
  t.deepEqual(json.stats[0], { name: 'http.ingress.downstream_rq_2xx', value: 1 });
  t.is(json.stats.at(-1).histograms.computed_quantiles[0].name, 'http.ingress.downstream_rq_time');
  t.is(json.stats.at(-1).histograms.supported_quantiles.length, 10);
  t.regex(
    (await served.page('/stats?type=Histograms&histogram_buckets=disjoint&filter=ingress.downstream_rq_time')).body,
    /^http\.ingress\.downstream_rq_time: B0\.5\(\d,\d\) B1\(.*B3\.6e\+06\(0,0\)\n$/,
  );
  t.regex((await served.page('/stats?type=Gauges&filter=^server.live$')).body, /^server\.live: 1\n$/);
  t.is((await served.page('/stats?type=Foo')).status, 400);
  t.regex((await served.page('/stats?filter=(')).body, /^Invalid re2 regex: /);
  t.false((await served.page('/stats?filter=^http&invert_filter')).body.includes('\nhttp.'));
});

test('what a bootstrap excludes is not told', async (t) => {
  const served = await Served.by(t, 'stats_config: {stats_matcher: {inclusion_list: {patterns: [{prefix: server.}]}}}');
  const { body } = await served.page('/stats');
  t.true(body.includes('server.live: 1'));
  t.false(/^(http|cluster|listener)/m.test(body));
});

test('the pages that only read', async (t) => {
  const served = await Served.by(t);
  await served.ask(t, '/api/1');
  t.deepEqual(await served.page('/ready'), { status: 200, body: 'LIVE\n' });
  t.regex((await served.page('/listeners')).body, /^main::127\.0\.0\.1:\d+\n$/);
  t.is(JSON.parse((await served.page('/listeners?format=json')).body).listener_statuses[0].name, 'main');
  const clusters = (await served.page('/clusters')).body;
  for (const line of [
    'c::observability_name::c',
    'c::default_priority::max_pending_requests::1024',
    'c::added_via_api::false',
  ])
    t.true(clusters.split('\n').includes(line), line);
  t.regex(clusters, /^c::127\.0\.0\.1:\d+::hostname::up$/m);
  t.regex(clusters, /^c::127\.0\.0\.1:\d+::health_flags::healthy$/m);
  const [status] = JSON.parse((await served.page('/clusters?format=json')).body).cluster_statuses;
  t.like(status, { name: 'c', observability_name: 'c' });
  t.like(status.host_statuses[0], { weight: 1, hostname: 'up', health_status: { eds_health_status: 'HEALTHY' } });
  const info = JSON.parse((await served.page('/server_info')).body);
  t.like(info, { state: 'LIVE', node: { id: 'n1', cluster: 'c1', user_agent_name: 'lateen' } });
  t.regex((await served.page('/help')).body, /\n {2}\/quitquitquit \(POST\): exit the server\n/);
  const unknown = await served.page('/nosuch');
  t.is(unknown.status, 404);
  t.regex(unknown.body, /^invalid path\. admin commands are:\n/);
  t.deepEqual(await served.page('/quitquitquit'), { status: 405, body: 'Method GET not allowed, POST required.' });
});

test('config_dump: resource, mask, name_regex and endpoints', async (t) => {
  const served = await Served.by(t);
  const kinds = async (path: string) =>
    JSON.parse((await served.page(path)).body).configs.map((section: { '@type': string }) =>
      section['@type'].replace('type.googleapis.com/envoy.admin.v3.', ''),
    );
  t.deepEqual(await kinds('/config_dump'), [
    'BootstrapConfigDump',
    'ClustersConfigDump',
    'ListenersConfigDump',
    'ScopedRoutesConfigDump',
    'RoutesConfigDump',
    'SecretsConfigDump',
  ]);
  t.true((await kinds('/config_dump?include_eds')).includes('EndpointsConfigDump'));
  t.deepEqual(JSON.parse((await served.page('/config_dump?resource=static_listeners&mask=listener.name')).body), {
    configs: [
      {
        '@type': 'type.googleapis.com/envoy.admin.v3.ListenersConfigDump.StaticListener',
        listener: { '@type': 'type.googleapis.com/envoy.config.listener.v3.Listener', name: 'main' },
      },
    ],
  });
  t.deepEqual(await served.page('/config_dump?resource=nope'), { status: 404, body: 'nope not found in config dump' });
  const routes = JSON.parse((await served.page('/config_dump?resource=static_route_configs')).body);
  t.is(routes.configs[0].route_config.name, 'r');
  t.deepEqual(JSON.parse((await served.page('/config_dump?resource=static_clusters&name_regex=^d')).body), {});
});

test('what changes something is asked for by POST', async (t) => {
  const served = await Served.by(t);
  t.is((await served.page('/healthcheck/fail', 'POST')).body, 'OK\n');
  t.deepEqual(await served.page('/ready'), { status: 503, body: 'DRAINING\n' });
  t.is((await served.page('/healthcheck/ok', 'POST')).body, 'OK\n');
  t.is((await served.page('/ready')).status, 200);
  t.regex((await served.page('/logging?level=debug', 'POST')).body, /^active loggers:\n {2}all: debug\n/);
  t.regex((await served.page('/logging?level=foo', 'POST')).body, /^error: unknown logger level\n/);
  t.is((await served.page('/reopen_logs', 'POST')).status, 200);
  t.deepEqual(await served.page('/runtime_modify?a=b', 'POST'), { status: 503, body: 'No admin layer specified' });
  t.is((await served.page('/runtime_modify', 'POST')).status, 400);
  t.deepEqual(JSON.parse((await served.page('/runtime')).body), { layers: [], entries: {} });
  t.is((await served.page('/drain_listeners?inboundonly', 'POST')).body, 'OK\n');
  await served.ask(t, '/direct');
  const port = served.proxy.plane.portOf('main');
  t.is((await served.page('/drain_listeners', 'POST')).body, 'OK\n');
  const outcome = await new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve('connected'));
    socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code));
    t.teardown(() => socket.destroy());
  });
  t.is(outcome, 'ECONNREFUSED');
});

test('/explain says what would become of a request, and leaves no mark', async (t) => {
  const served = await Served.by(t);
  const told = await served.page('/explain?listener=main&authority=shop&path=/direct');
  t.regex(told.body, /^GET shop\/direct: answered with 201 by vh \(direct_response, to http:\/\/shop\/direct\)\n/);
  t.regex(told.body, /route +prefix \/direct +taken/);
  const { decision, steps } = JSON.parse((await served.page('/explain?listener=main&path=/api&format=json')).body);
  t.deepEqual(decision.clusters, [{ cluster: 'c', percent: 100, known: true }]);
  t.true(steps.length > 3);
  const bad = await served.page('/explain?listener=main&path=x');
  t.deepEqual([bad.status, bad.body], [400, 'path: "x" does not begin with /\n']);
  t.regex((await served.page('/stats?filter=downstream_rq_total')).body, /http\.ingress\.downstream_rq_total: 0\n/);
});
