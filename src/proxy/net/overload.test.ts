import test, { type ExecutionContext } from 'ava';
import { type BootstrapError, parseBootstrap } from '../config/bootstrap.ts';
import { runtimeValues } from '../config/runtime-values.ts';
import { createRuntime } from '../runtime.ts';
import { Caller, Witness } from '../testing/peers.ts';

const types = 'type.googleapis.com/envoy.extensions';
const file = (rest: string) => `
static_resources:
  listeners:
  - name: edge
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": ${types}.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: x
          http_filters:
          - { name: router, typed_config: { "@type": ${types}.filters.http.router.v3.Router } }
          route_config:
            name: all
            virtual_hosts:
            - { name: all, domains: ["*"], routes: [{ match: { prefix: / }, direct_response: { status: 200, body: { inline_string: hi } } }] }
${rest}`;

const heap = (bytes: number, action: string, trigger = 'threshold: { value: 1 }') => `
overload_manager:
  refresh_interval: 0.05s
  resource_monitors:
  - name: envoy.resource_monitors.fixed_heap
    typed_config: { "@type": ${types}.resource_monitors.fixed_heap.v3.FixedHeapConfig, max_heap_size_bytes: ${bytes} }
  actions:
  - { name: envoy.overload_actions.${action}, triggers: [{ name: envoy.resource_monitors.fixed_heap, ${trigger} }] }
`;

async function serving(t: ExecutionContext, rest: string) {
  const { table, secrets, overload } = parseBootstrap(file(rest));
  const witness = new Witness();
  const runtime = await createRuntime({ table, secrets, telemetry: witness, overload });
  t.teardown(() => runtime.close());
  const ask = async () => {
    const caller = await Caller.to(runtime.portOf('edge'));
    const text = await caller.send('GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n').finished();
    caller.stop();
    return text;
  };
  return { runtime, witness, ask };
}

test.serial(
  'a full heap stops requests, refuses connections or ends them after a response, as the file says',
  async (t) => {
    const stopping = await serving(t, heap(1, 'stop_accepting_requests'));
    t.regex(await stopping.ask(), /^HTTP\/1\.1 503 [\s\S]*envoy overloaded$/);
    t.like(stopping.witness.finished[0], { flags: '', details: 'overload' });
    const refusing = await serving(t, heap(1, 'reject_incoming_connections'));
    t.is(await refusing.ask(), '');
    t.is(refusing.runtime.stats.overLimit, 1);
    const closing = await serving(t, heap(1, 'disable_http_keepalive'));
    const caller = await Caller.to(closing.runtime.portOf('edge'));
    t.regex(
      await caller.send('GET / HTTP/1.1\r\nhost: a\r\n\r\n').finished(),
      /^HTTP\/1\.1 200 [\s\S]*connection: close/,
    );
    const roomy = await serving(t, heap(1e12, 'stop_accepting_requests'));
    t.regex(await roomy.ask(), /^HTTP\/1\.1 200 /);
  },
);

test.serial('connections are limited for all, and for one listener while the proxy runs', async (t) => {
  const limit = `
overload_manager:
  resource_monitors:
  - name: envoy.resource_monitors.global_downstream_max_connections
    typed_config: { "@type": ${types}.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig, max_active_downstream_connections: 1 }
`;
  const one = await serving(t, limit);
  const first = await Caller.to(one.runtime.portOf('edge'));
  await first.send('GET / HTTP/1.1\r\nhost: a\r\n\r\n').responses();
  t.is(await one.ask(), '');
  t.is(one.runtime.stats.overLimit, 1);
  const layers = `
layered_runtime:
  layers:
  - { name: static, static_layer: { envoy.resource_limits.listener.edge.connection_limit: 0 } }
  - { name: admin, admin_layer: {} }
`;
  const none = await serving(t, layers);
  t.is(await none.ask(), '');
  t.is(runtimeValues.override([['envoy.resource_limits.listener.edge.connection_limit', '5']]), null);
  t.regex(await none.ask(), /^HTTP\/1\.1 200 /);
  runtimeValues.set([], null);
});

test.serial('a proxy that fails its health checks lets callers go, where a listener says so', async (t) => {
  const proxy = await serving(t, '');
  const caller = await Caller.to(proxy.runtime.portOf('edge'));
  t.notRegex(await caller.send('GET / HTTP/1.1\r\nhost: a\r\n\r\n').responses(), /connection: close/);
  proxy.runtime.unhealthy = true;
  t.regex(await caller.send('GET / HTTP/1.1\r\nhost: a\r\n\r\n').finished(), /connection: close/);
  const { table, secrets } = parseBootstrap(
    file('').replace('  - name: edge', '  - name: edge\n    drain_type: MODIFY_ONLY'),
  );
  t.false(table.listeners.get('edge')?.drainsWhenUnhealthy);
  const named = `
  clusters:
  - name: a
    type: STRICT_DNS
    load_assignment:
      cluster_name: a
      endpoints: [{ lb_endpoints: [{ endpoint: { address: { socket_address: { address: localhost, port_value: 1 } } } }] }]
`;
  const warm = await createRuntime({ table: parseBootstrap(file(named)).table, secrets, telemetry: new Witness() });
  t.teardown(() => warm.close());
  t.true([...warm.clusterPools()].every((pool) => [...pool.members()].length > 0));
});

test.serial('what the overload manager cannot do is refused with its path', (t) => {
  const problems = (rest: string) => {
    try {
      parseBootstrap(file(rest));
      return '';
    } catch (error) {
      return (error as BootstrapError).problems.join('\n');
    }
  };
  t.regex(problems(heap(1, 'reset_high_memory_stream')), /overload_manager\.actions\[0\]\.name: .* is not supported/);
  t.regex(
    problems(heap(1, 'stop_accepting_requests', 'threshold: { value: 1 }').replace(/fixed_heap, thr/, 'other, thr')),
    /is not among resource_monitors/,
  );
});
