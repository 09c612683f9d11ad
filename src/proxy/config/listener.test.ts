import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { createRuntime } from '../runtime.ts';
import { Witness } from '../testing/peers.ts';
import { type BootstrapError, parseBootstrap } from './bootstrap.ts';

const types = 'type.googleapis.com/envoy.extensions.filters';
const relay = `filters:
      - name: tcp
        typed_config: { "@type": ${types}.network.tcp_proxy.v3.TcpProxy, stat_prefix: x, cluster: app }`;

const file = (fields: string) => `
static_resources:
  listeners:
  - name: edge
    address: { socket_address: { address: 127.0.0.1, port_value: 0 } }
${fields}`;

function problems(fields: string): readonly string[] {
  try {
    parseBootstrap(file(fields));
    return [];
  } catch (error) {
    return (error as BootstrapError).problems;
  }
}

test('two filter chains for the same connections are refused', (t) => {
  const chains = (first: string, second: string) => `    filter_chains:
    - filter_chain_match: ${first}
      ${relay}
    - filter_chain_match: ${second}
      ${relay}`;
  t.deepEqual(problems(chains('{ server_names: [a.b, c.d] }', '{ server_names: [C.D] }')), [
    'listener edge: filter_chains[1]: matches the same connections as filter_chains[0]',
  ]);
  t.deepEqual(problems(chains('{ server_names: [a.b] }', '{ server_names: [a.b], source_type: EXTERNAL }')), []);
  t.regex(problems(chains('{ server_names: ["a*.b"] }', '{}'))[0], /server_names\[0\]: "a\*\.b"/);
  t.regex(problems(chains('{ suffix_len: 8 }', '{ destination_port: 1 }'))[0], /suffix_len: is not supported/);
});

test('filter_disabled speaks of destination ports by every predicate', (t) => {
  const predicate = `{ and_match: { rules: [
        { not_match: { destination_port_range: { start: 80, end: 81 } } },
        { or_match: { rules: [ { destination_port_range: { start: 70, end: 90 } }, { any_match: false } ] } } ] } }`;
  const { table } = parseBootstrap(
    file(`    listener_filters:
    - name: tls
      typed_config: { "@type": ${types}.listener.tls_inspector.v3.TlsInspector }
      filter_disabled: ${predicate}
    filter_chains:
    - ${relay}`),
  );
  t.deepEqual(table.listeners.get('edge')?.tlsInspectDisabledPorts, [
    { from: 70, to: 80 },
    { from: 81, to: 90 },
  ]);
});

test('the PROXY protocol comes before the inspectors, and says what it cannot do', (t) => {
  const filters = (proxy: string) => `    listener_filters:
    - name: tls
      typed_config: { "@type": ${types}.listener.tls_inspector.v3.TlsInspector }
    - name: proxy
      typed_config: { "@type": ${types}.listener.proxy_protocol.v3.ProxyProtocol${proxy} }
    filter_chains:
    - ${relay}`;
  t.regex(problems(filters(''))[0], /listener_filters\[1\]: proxy_protocol must come before/);
  t.regex(problems(filters(', rules: [{ tlv_type: 2 }]')).join(), /rules: is not supported/);
});

test('a listener binds all its addresses, a Unix socket among them, also one left behind', async (t) => {
  const path = join(tmpdir(), `lateen-${process.pid}.sock`);
  const text = file(`    additional_addresses:
    - address: { pipe: { path: ${path} } }
    filter_chains:
    - ${relay}`);
  for (let i = 0; i < 2; i++) {
    const { table, secrets } = parseBootstrap(text);
    const runtime = await createRuntime({ table, secrets, telemetry: new Witness() });
    t.is(runtime.stats.listeners.length, 2);
    await runtime.close();
  }
});

test('gates, a fixed answer and the limits of a relay are read, and what is missing is refused', (t) => {
  const network = `${types}.network`;
  const { table } = parseBootstrap(
    file(`    filter_chains:
    - filters:
      - name: limit
        typed_config:
          "@type": ${network}.connection_limit.v3.ConnectionLimit
          stat_prefix: x
          max_connections: 2
          delay: 1s
      - name: sni
        typed_config: { "@type": ${network}.sni_cluster.v3.SniCluster }
      - name: tcp
        typed_config:
          "@type": ${network}.tcp_proxy.v3.TcpProxy
          stat_prefix: x
          cluster: app
          idle_timeout: 0s
          max_connect_attempts: 2
          max_downstream_connection_duration: 9s
          hash_policy: [{ source_ip: {} }]`),
  );
  const chain = table.listeners.get('edge')!.chains[0];
  t.deepEqual(chain.gates, [{ kind: 'connections', max: 2, delayMs: 1000 }]);
  t.like(chain.tcp, {
    clusterBySni: true,
    idleTimeoutMs: 0,
    maxConnectAttempts: 2,
    maxDurationMs: 9000,
    hashesSource: true,
  });
  const tcp = (fields: string) => `    filter_chains:
    - filters:
      - name: tcp
        typed_config: { "@type": ${network}.tcp_proxy.v3.TcpProxy, stat_prefix: x, cluster: app, ${fields} }`;
  t.deepEqual(
    problems(tcp("tunneling_config: { hostname: '%REQUESTED_SERVER_NAME%:443', use_post: true, post_path: /a }")),
    [],
  );
  t.regex(problems(tcp('tunneling_config: { use_post: true }')).join(), /tunneling_config\.hostname: is empty/);
  t.regex(problems(tcp('tunneling_config: { hostname: a, post_path: /a }')).join(), /post_path: goes with use_post/);
  t.regex(
    problems(tcp('tunneling_config: { hostname: a, propagate_response_headers: true }')).join(),
    /propagate_response_headers: is not supported/,
  );
  t.regex(problems(tcp('hash_policy: [{ filter_state: { key: a } }]')).join(), /filterState is not supported/);
});

test('TLS says what OpenSSL does not know, what is unsafe, and what is not supported', (t) => {
  const tls = (common: string, more = '') => `    filter_chains:
    - ${relay}
      transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          ${more}
          common_tls_context:
            tls_certificate_sds_secret_configs: [{ name: a, sds_config: { ads: {} } }, { name: b, sds_config: { ads: {} } }]
            ${common}`;
  t.deepEqual(
    problems(
      tls(
        'tls_params: { ecdh_curves: [X25519, P-256], cipher_suites: ["[ECDHE-ECDSA-AES128-GCM-SHA256|ECDHE-RSA-AES128-GCM-SHA256]"] }',
      ),
    ),
    [],
  );
  t.regex(problems(tls('tls_params: { cipher_suites: [NONE-SUCH] }')).join(), /tls_params: OpenSSL refuses it/);
  t.regex(
    problems(tls('tls_params: { tls_minimum_protocol_version: TLSv1_0 }')).join(),
    /tls_minimum_protocol_version: TLS before 1.2/,
  );
  t.regex(
    problems(
      tls('validation_context: { match_typed_subject_alt_names: [{ san_type: DNS, matcher: { exact: a } }] }'),
    ).join(),
    /prove nothing without trusted_ca/,
  );
  t.regex(
    problems(tls('validation_context: { allow_expired_certificate: true }')).join(),
    /allow_expired_certificate: is not supported/,
  );
  t.regex(problems(tls('', 'ocsp_staple_policy: MUST_STAPLE')).join(), /ocsp_staple_policy: is not supported/);
});

test('what HTTP options ask in vain is refused by its path; what they leave off is not', (t) => {
  const manager = (field: string) =>
    problems(`    filter_chains:
    - filters:
      - name: http
        typed_config:
          "@type": ${types}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: x
          route_config: { virtual_hosts: [] }
          http_filters:
          - { name: router, typed_config: { "@type": ${types}.http.router.v3.Router } }
          ${field}`)
      .join()
      .replace(/^.*typed_config\./, '');
  for (const [field, refusal] of [
    [
      'http_protocol_options: { allow_chunked_length: true }',
      'http_protocol_options.allow_chunked_length: is not supported',
    ],
    ['http_protocol_options: { allow_chunked_length: false, accept_http_10: true }', ''],
    ['http2_protocol_options: { hpack_table_size: 100 }', 'http2_protocol_options.hpack_table_size: is not supported'],
    ['common_http_protocol_options: { max_connection_duration: 9s, max_requests_per_connection: 3 }', ''],
    ['proxy_100_continue: true', 'proxy_100_continue: true is not supported: 100 Continue is answered here'],
    ['proxy_100_continue: false', ''],
    [
      'local_reply_config: { mappers: [{ status_code: 99 }] }',
      'local_reply_config.mappers[0].status_code: 99 is not between 200 and 599',
    ],
  ])
    t.is(manager(field).replace(/^.*?typed_config\./, ''), refusal, field);
});
