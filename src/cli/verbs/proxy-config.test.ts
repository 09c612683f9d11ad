import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { lateen } from '../testing/command.ts';

const config = (kind: string, name: string) => ({
  filter_metadata: { istio: { config: `/apis/networking.istio.io/v1/namespaces/default/${kind}/${name}` } },
});
const at = (address: string, port: number) => ({ socket_address: { address, port_value: port } });
const manager = (typed: object) => ({
  name: 'envoy.filters.network.http_connection_manager',
  typed_config: typed,
});
const tcp = (cluster: string) => ({ name: 'envoy.filters.network.tcp_proxy', typed_config: { cluster } });

/** As Envoy and our proxy write it. */
const dump = {
  configs: [
    { '@type': 'type.googleapis.com/envoy.admin.v3.BootstrapConfigDump', bootstrap: { node: { id: 'x' } } },
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.ClustersConfigDump',
      static_clusters: [{ cluster: { name: 'xds-grpc', type: 'STATIC' } }],
      dynamic_active_clusters: [
        {
          cluster: {
            name: 'outbound|9080|v1|reviews.default.svc.cluster.local',
            type: 'EDS',
            metadata: config('destination-rule', 'reviews'),
          },
        },
        {
          cluster: {
            name: 'outbound|9080||reviews.default.svc.cluster.local',
            type: 'EDS',
            metadata: config('destination-rule', 'reviews'),
          },
        },
        { cluster: { name: 'inbound|9080||', type: 'ORIGINAL_DST' } },
      ],
    },
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.ListenersConfigDump',
      dynamic_listeners: [
        {
          name: 'virtualInbound',
          active_state: {
            listener: {
              name: 'virtualInbound',
              address: at('0.0.0.0', 15006),
              filter_chains: [
                {
                  filter_chain_match: {
                    destination_port: 9080,
                    transport_protocol: 'tls',
                    application_protocols: ['istio', 'h2'],
                  },
                  filters: [
                    manager({
                      route_config: { virtual_hosts: [{ routes: [{ route: { cluster: 'inbound|9080||' } }] }] },
                    }),
                  ],
                },
              ],
            },
          },
        },
        {
          name: '10.96.0.9_443',
          active_state: {
            listener: {
              name: '10.96.0.9_443',
              address: at('10.96.0.9', 443),
              filter_chains: [
                {
                  filter_chain_match: { server_names: ['a.example.com'] },
                  filters: [tcp('outbound|443||a.example.com')],
                },
              ],
              default_filter_chain: { filters: [tcp('PassthroughCluster')] },
            },
          },
        },
        {
          name: '0.0.0.0_9080',
          active_state: {
            listener: {
              name: '0.0.0.0_9080',
              address: at('0.0.0.0', 9080),
              filter_chains: [{ filters: [manager({ rds: { route_config_name: '9080' } })] }],
            },
          },
        },
      ],
    },
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.RoutesConfigDump',
      dynamic_route_configs: [
        {
          route_config: {
            name: '9080',
            virtual_hosts: [
              {
                name: 'reviews.default.svc.cluster.local:9080',
                domains: ['reviews.default.svc.cluster.local', 'reviews', 'reviews.default'],
                routes: [
                  { match: { path: '/x' }, metadata: config('virtual-service', 'reviews'), route: { cluster: 'a' } },
                  { match: { prefix: '/' }, direct_response: { status: 503 } },
                ],
              },
              { name: 'empty', domains: ['*'] },
            ],
          },
        },
      ],
    },
    {
      '@type': 'type.googleapis.com/envoy.admin.v3.SecretsConfigDump',
      dynamic_active_secrets: [
        { secret: { name: 'default', tls_certificate: { certificate_chain: { inline_bytes: 'AAAA' } } } },
      ],
    },
  ],
};

const clusters = {
  cluster_statuses: [
    {
      name: 'outbound|9080||reviews.default.svc.cluster.local',
      host_statuses: [
        { address: at('10.1.0.2', 9080), health_status: { eds_health_status: 'HEALTHY', failed_outlier_check: true } },
        { address: at('10.1.0.1', 9080), health_status: { eds_health_status: 'HEALTHY' } },
      ],
    },
    { name: 'xds-grpc', host_statuses: [{ address: { pipe: { path: '/run/xds' } }, health_status: {} }] },
  ],
};

async function file(t: { teardown(work: () => Promise<void>): void }, value: unknown): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lateen-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'page.json');
  await writeFile(path, typeof value === 'string' ? value : JSON.stringify(value));
  return path;
}

/** Rows of a table, cells apart by more than one space. */
async function rows(...words: string[]): Promise<string[][]> {
  const { stdout, code, stderr } = await lateen(['proxy-config', ...words]);
  if (code !== 0) throw new Error(stderr);
  return stdout
    .trim()
    .split('\n')
    .map((line) => line.split(/ {2,}/));
}

test('clusters with what their names say, by service, port, subset and direction', async (t) => {
  const path = await file(t, dump);
  t.deepEqual(await rows('cluster', '-f', path), [
    ['SERVICE FQDN', 'PORT', 'SUBSET', 'DIRECTION', 'TYPE', 'DESTINATION RULE'],
    ['', '9080', '-', 'inbound', 'ORIGINAL_DST'],
    ['reviews.default.svc.cluster.local', '9080', '-', 'outbound', 'EDS', 'reviews.default'],
    ['reviews.default.svc.cluster.local', '9080', 'v1', 'outbound', 'EDS', 'reviews.default'],
    ['xds-grpc', '-', '-', '-', 'STATIC'],
  ]);
  t.deepEqual(
    (await rows('c', '-f', path, '--fqdn', 'reviews', '--subset', 'v1')).map(([, , subset]) => subset),
    ['SUBSET', 'v1'],
  );
  t.is((await rows('clusters', '-f', path, '--direction', 'inbound')).length, 2);
  t.is((await rows('clusters', '-f', path, '--port', '80')).length, 1);
  const json = JSON.parse((await lateen(['pc', 'cluster', '-f', path, '--subset', 'v1', '-o', 'json'])).stdout);
  t.is(json[0].name, 'outbound|9080|v1|reviews.default.svc.cluster.local');
});

test('listeners: whom each chain takes, and where it leads', async (t) => {
  const path = await file(t, dump);
  t.deepEqual(await rows('listener', '-f', path), [
    ['ADDRESSES', 'PORT', 'MATCH', 'DESTINATION'],
    ['10.96.0.9', '443', 'SNI: a.example.com', 'Cluster: outbound|443||a.example.com'],
    ['10.96.0.9', '443', 'ALL', 'PassthroughCluster'],
    ['0.0.0.0', '9080', 'ALL', 'Route: 9080'],
    ['0.0.0.0', '15006', 'Trans: tls; App: istio,h2; Addr: *:9080', 'Inline Route: inbound|9080||'],
  ]);
  t.is((await rows('l', '-f', path, '--type', 'TCP')).length, 3);
  t.is((await rows('l', '-f', path, '--address', '0.0.0.0', '--port', '9080')).length, 2);
});

test('routes: which resource each comes from', async (t) => {
  t.deepEqual(await rows('route', '-f', await file(t, dump), '--name', '9080'), [
    ['NAME', 'VHOST NAME', 'DOMAINS', 'MATCH', 'VIRTUAL SERVICE'],
    [
      '9080',
      'reviews.default.svc.cluster.local:9080',
      'reviews.default.svc.cluster.local, reviews + 1 more...',
      '/x',
      'reviews.default',
    ],
    [
      '9080',
      'reviews.default.svc.cluster.local:9080',
      'reviews.default.svc.cluster.local, reviews + 1 more...',
      '/*',
      '503',
    ],
    ['9080', 'empty', '*', '404'],
  ]);
});

test('endpoints, secrets, the bootstrap', async (t) => {
  const path = await file(t, clusters);
  t.deepEqual(await rows('ep', '-f', path), [
    ['ENDPOINT', 'STATUS', 'OUTLIER CHECK', 'CLUSTER'],
    ['10.1.0.1:9080', 'HEALTHY', 'OK', 'outbound|9080||reviews.default.svc.cluster.local'],
    ['10.1.0.2:9080', 'HEALTHY', 'FAILED', 'outbound|9080||reviews.default.svc.cluster.local'],
    ['unix:///run/xds', 'HEALTHY', 'OK', 'xds-grpc'],
  ]);
  t.is((await rows('ep', '-f', path, '--address', '10.1.0.2')).length, 2);
  const page = await file(t, dump);
  t.deepEqual((await rows('secret', '-f', page))[1], ['default', 'Cert Chain', 'ACTIVE', 'false']);
  t.is(JSON.parse((await lateen(['pc', 'bootstrap', '-f', page])).stdout).bootstrap.node.id, 'x');
  t.regex(
    (await lateen(['pc', 'all', '-f', page])).stdout,
    /SERVICE FQDN[\s\S]*ADDRESSES[\s\S]*VHOST NAME[\s\S]*RESOURCE NAME/,
  );
});

test('what is wrong is said', async (t) => {
  t.is((await lateen(['pc'])).code, 64);
  const { code, stderr } = await lateen(['pc', 'clustr', 'a']);
  t.is(code, 64);
  t.regex(stderr, /did you mean "cluster"\?/);
  t.is((await lateen(['pc', 'cluster'])).code, 64);
  t.is((await lateen(['pc', 'cluster', '-f', await file(t, 'nothing')])).code, 65);
  t.is((await lateen(['pc', 'cluster', '-f', await file(t, '{}')])).code, 65);
});
