import { fromJson, type JsonValue } from '@bufbuild/protobuf';
import test from 'ava';
import { ClusterSchema } from '../../xds/gen/envoy/config/cluster/v3/cluster_pb.js';
import { compileCluster } from './cluster.ts';
import { Field } from './field.ts';
import { registry } from './registry.ts';

function compile(fields: Readonly<Record<string, JsonValue>>) {
  const field = new Field('cluster a');
  const message = fromJson(ClusterSchema, { name: 'a', ...fields }, { registry });
  const { cluster } = compileCluster(field, message);
  return { cluster, problems: field.problems };
}

const extension = (type: string, fields: Readonly<Record<string, JsonValue>>) => ({
  typed_extension_config: { name: type, typed_config: { '@type': `type.googleapis.com/${type}`, ...fields } },
});

const refused: ReadonlyArray<readonly [path: string, fields: Readonly<Record<string, JsonValue>>]> = [
  ['circuit_breakers.per_host_thresholds', { circuit_breakers: { per_host_thresholds: [{ max_connections: 1 }] } }],
  [
    'circuit_breakers.thresholds[0].max_connection_pools',
    { circuit_breakers: { thresholds: [{ max_connection_pools: 1 }] } },
  ],
  ['upstream_bind_config.freebind', { upstream_bind_config: { freebind: true } }],
  [
    'upstream_bind_config.source_address.port_value',
    { upstream_bind_config: { source_address: { address: '127.0.0.6', port_value: 5 } } },
  ],
  ['track_cluster_stats.timeout_budgets', { track_cluster_stats: { timeout_budgets: true } }],
  ['common_lb_config.override_host_status', { common_lb_config: { override_host_status: { statuses: ['HEALTHY'] } } }],
  ['common_http_protocol_options.max_stream_duration', { common_http_protocol_options: { max_stream_duration: '1s' } }],
  [
    'original_dst_lb_config.metadata_key',
    { original_dst_lb_config: { metadata_key: { key: 'a', path: [{ key: 'b' }] } } },
  ],
  ['outlier_detection.interval', { outlier_detection: { interval: '0s' } }],
  ['lb_policy', { lb_policy: 'CLUSTER_PROVIDED' }],
  ['ring_hash_lb_config.minimum_ring_size', { ring_hash_lb_config: { minimum_ring_size: 10, maximum_ring_size: 5 } }],
  ['maglev_lb_config.table_size', { maglev_lb_config: { table_size: 10 } }],
  ['load_balancing_policy.policies', { load_balancing_policy: { policies: [] } }],
  [
    'cluster_type.typed_config',
    {
      lb_policy: 'CLUSTER_PROVIDED',
      cluster_type: {
        name: 'x',
        typed_config: { '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer' },
      },
    },
  ],
  [
    'load_assignment.policy.drop_overloads',
    { load_assignment: { cluster_name: 'a', policy: { drop_overloads: [{ category: 'x' }] } } },
  ],
  [
    'load_assignment.endpoints[0].lb_endpoints[0].endpoint.additional_addresses',
    {
      load_assignment: {
        cluster_name: 'a',
        endpoints: [
          {
            lb_endpoints: [
              {
                endpoint: {
                  address: { socket_address: { address: '127.0.0.1', port_value: 1 } },
                  additional_addresses: [{ address: { socket_address: { address: '127.0.0.2', port_value: 1 } } }],
                },
              },
            ],
          },
        ],
      },
    },
  ],
];

for (const [path, fields] of refused)
  test(`refused: ${path}`, (t) => {
    const { problems } = compile(fields);
    t.is(problems.length, 1, problems.join('; '));
    t.true(problems[0].startsWith(`cluster a: ${path}: `), problems[0]);
  });

test("a policy by extension takes the place of the cluster's own", (t) => {
  const type = 'envoy.extensions.load_balancing_policies.ring_hash.v3.RingHash';
  const { cluster, problems } = compile({
    lb_policy: 'RANDOM',
    load_balancing_policy: {
      policies: [
        extension('envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer', {}),
        extension(type, {
          hash_function: 'MURMUR_HASH_2',
          minimum_ring_size: '7',
          consistent_hashing_lb_config: { hash_balance_factor: 150 },
        }),
      ],
    },
  });
  t.deepEqual(problems, []);
  t.is(cluster.policy, 'ringHash');
  t.like(cluster.ring, { min: 7, murmur: true });
  t.is(cluster.hashBalancePercent, 150);
});

test('addresses to connect from, connection lifetimes and thresholds of both priorities', (t) => {
  const { cluster, problems } = compile({
    upstream_bind_config: {
      source_address: { address: '127.0.0.6', port_value: 0 },
      extra_source_addresses: [{ address: { address: '::6', port_value: 0 } }],
    },
    common_http_protocol_options: { max_connection_duration: '60s', idle_timeout: '5s' },
    circuit_breakers: {
      thresholds: [
        { max_requests: 1, retry_budget: { budget_percent: { value: 50 }, min_retry_concurrency: 2 } },
        { priority: 'HIGH', max_requests: 9, track_remaining: true },
      ],
    },
  });
  t.deepEqual(problems, []);
  t.deepEqual(cluster.bindHosts, ['127.0.0.6', '::6']);
  t.is(cluster.maxConnectionMs, 60_000);
  t.is(cluster.idleTimeoutMs, 5000);
  t.like(cluster.circuit, { maxRequests: 1, retryBudgetPercent: 50, minRetries: 2, tracksRemaining: false });
  t.like(cluster.highCircuit, { maxRequests: 9, retryBudgetPercent: null, tracksRemaining: true });
});
