import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { startFromFile } from '../agent/file.ts';
import { parseBootstrap } from '../config/bootstrap.ts';
import { Caller, ok } from '../testing/peers.ts';
import { get, originFor, rawOrigin, startedByTest } from '../testing/proxy.ts';
import { createLog } from './log.ts';
import { flushLogFiles, reopenLogFiles } from './log-file.ts';

interface Logs {
  /** Of `access_log` of the connection manager: filter and format. */
  readonly filter?: string;
  readonly options?: string;
  readonly format?: string;
  readonly tcp?: boolean;
}

const format = '%ACCESS_LOG_TYPE% %REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_FLAGS%\\n';

async function logging(t: ExecutionContext, originPort: number, logs: Logs = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'access-log-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'log');
  const accessLog = `[{name: file, ${logs.filter ? `filter: ${logs.filter}, ` : ''}typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: ${path}, log_format: {text_format_source: {inline_string: "${logs.format ?? format}"}}}}]`;
  const options = logs.options ? `access_log_options: ${logs.options}` : '';
  const filters = logs.tcp
    ? `
      - name: tcp
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: tcp
          cluster: c
          access_log: ${accessLog}
          ${options}`
    : `
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: ingress
          upgrade_configs: [{upgrade_type: websocket}]
          access_log: ${accessLog}
          ${options}
          route_config: {name: r, virtual_hosts: [{name: vh, domains: ["*"], routes: [{match: {prefix: /direct}, direct_response: {status: 204}}, {match: {prefix: /rewritten/}, route: {cluster: c, prefix_rewrite: /new/, host_rewrite_literal: other}}, {match: {prefix: /}, route: {cluster: c}}]}]}
          http_filters: [{name: hc, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.health_check.v3.HealthCheck, pass_through_mode: true, headers: [{name: ":path", string_match: {exact: /hc}}]}}, {name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]`;
  const bootstrap = parseBootstrap(`
static_resources:
  listeners:
  - name: main
    address: {socket_address: {address: 127.0.0.1, port_value: 0}}
    filter_chains:
    - filters:${filters}
  clusters:
  - {name: c, connect_timeout: 1s, type: STATIC, load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${originPort}}}}}]}]}}
`);
  const proxy = await startFromFile(bootstrap, startedByTest, createLog('none'));
  t.teardown(async () => {
    proxy.lifecycle.quit();
    await proxy.ended;
  });
  return {
    path,
    caller: () => Caller.to(proxy.plane.portOf('main')),
    async lines(): Promise<string[]> {
      await flushLogFiles();
      // The first line makes the file.
      return existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
    },
    async ask(...requests: string[]): Promise<void> {
      const caller = await Caller.to(proxy.plane.portOf('main'));
      for (const request of requests) await caller.send(request).responses();
      caller.stop();
    },
  };
}

const answering = (t: ExecutionContext) =>
  originFor(t, ({ head }) => (head.includes('/bad') ? 'HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n' : ok('hi')));

const filtered: Array<[name: string, filter: string, paths: string[]]> = [
  [
    'status code',
    '{status_code_filter: {comparison: {op: GE, value: {default_value: 400, runtime_key: k}}}}',
    ['/bad'],
  ],
  ['a flag', '{response_flag_filter: {flags: [NR]}}', []],
  ['header', '{header_filter: {header: {name: ":path", string_match: {prefix: /d}}}}', ['/direct']],
  [
    'both',
    '{and_filter: {filters: [{status_code_filter: {comparison: {op: LE, value: {default_value: 299, runtime_key: k}}}}, {header_filter: {header: {name: ":path", string_match: {prefix: /d}}}}]}}',
    ['/direct'],
  ],
  [
    'either',
    '{or_filter: {filters: [{status_code_filter: {comparison: {op: GE, value: {default_value: 500, runtime_key: k}}}}, {header_filter: {header: {name: ":path", string_match: {prefix: /d}}}}]}}',
    ['/bad', '/direct'],
  ],
  ['no health check', '{not_health_check_filter: {}}', ['/ok', '/bad', '/direct']],
  ['none by runtime', '{runtime_filter: {runtime_key: k, percent_sampled: {numerator: 0}}}', []],
  [
    'all by runtime',
    '{runtime_filter: {runtime_key: k, percent_sampled: {numerator: 100}}}',
    ['/ok', '/bad', '/direct', '/hc'],
  ],
  ['gRPC status', '{grpc_status_filter: {statuses: [UNKNOWN], exclude: true}}', ['/bad']],
  ['the end', '{log_type_filter: {types: [DownstreamEnd]}}', ['/ok', '/bad', '/direct', '/hc']],
  ['not the end', '{log_type_filter: {types: [DownstreamEnd], exclude: true}}', []],
  ['duration', '{duration_filter: {comparison: {op: GE, value: {default_value: 100000, runtime_key: k}}}}', []],
];
for (const [name, filter, paths] of filtered)
  test(`a log tells what its filter lets through: ${name}`, async (t) => {
    const log = await logging(t, (await answering(t)).port, { filter, format: '%REQ(:PATH)%\\n' });
    await log.ask(get('/ok'), get('/bad'), get('/direct'), get('/hc'));
    t.deepEqual(await log.lines(), paths);
  });

test('a filter that cannot be kept is refused by its path', async (t) => {
  const refused = await t.throwsAsync(logging(t, 1, { filter: '{response_flag_filter: {flags: [XX]}}' }));
  t.regex(refused.message, /access_log\[0\]\.filter\.response_flag_filter\.flags\[0\]: "XX" is no response flag/);
  const unsupported = await t.throwsAsync(logging(t, 1, { filter: '{traceable_filter: {}}' }));
  t.regex(unsupported.message, /access_log\[0\]\.filter: traceable_filter is not supported/);
});

test('a request is told of as it was sent on, and as it came', async (t) => {
  const log = await logging(t, (await answering(t)).port, {
    format: '%REQ(:PATH)% %PATH(NQ)% %REQ(:AUTHORITY)% %REQ(x-envoy-original-host)%\\n',
  });
  await log.ask(get('/rewritten/a?q'));
  t.deepEqual(await log.lines(), ['/new/a?q /rewritten/a other shop']);
});

test('options tell of requests and tunnels that are under way', async (t) => {
  const origin = await rawOrigin(t, (socket) => {
    socket.once('data', () =>
      socket.write('HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n'),
    );
    socket.on('end', () => socket.end());
  });
  const options = '{flush_access_log_on_new_request: true, flush_log_on_tunnel_successfully_established: true}';
  const log = await logging(t, origin.port, { options });
  const caller = await log.caller();
  await caller
    .send(get('/ws', 'connection: upgrade\r\nupgrade: websocket\r\n'))
    .until(() => caller.received.includes('\r\n\r\n'));
  t.deepEqual(await log.lines(), ['DownstreamStart /ws 0 -', 'DownstreamTunnelSuccessfullyEstablished /ws 101 -']);
  caller.stop();
  await caller.until(() => caller.closed);
  while ((await log.lines()).length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
  t.regex((await log.lines())[2], /^DownstreamEnd \/ws 101 /);
});

test('a relay is told of when it stands and when it is over', async (t) => {
  const origin = await rawOrigin(t, (socket) => {
    socket.on('data', (bytes) => socket.end(bytes));
  });
  const log = await logging(t, origin.port, {
    tcp: true,
    options: '{flush_access_log_on_connected: true}',
    format:
      '%ACCESS_LOG_TYPE% %BYTES_RECEIVED% %BYTES_SENT% %UPSTREAM_CLUSTER% %UPSTREAM_REQUEST_ATTEMPT_COUNT% %PROTOCOL% %RESPONSE_CODE% %RESPONSE_FLAGS%\\n',
  });
  const caller = await log.caller();
  await caller.send('hello').until(() => caller.ended);
  caller.socket.end();
  while ((await log.lines()).length < 2) await new Promise((resolve) => setTimeout(resolve, 5));
  const [connected, ended] = await log.lines();
  // The caller's bytes may have come before the upstream stood.
  t.regex(connected, /^TcpUpstreamConnected [05] 0 c 1 - 0 -$/);
  t.is(ended, 'TcpConnectionEnd 5 5 c 1 - 0 -');
});

test.serial('a log file that was renamed is made anew when asked', async (t) => {
  const log = await logging(t, (await answering(t)).port);
  await log.ask(get('/direct/1'));
  t.is((await log.lines()).length, 1);
  renameSync(log.path, `${log.path}.1`);
  await log.ask(get('/direct/2'));
  await flushLogFiles();
  reopenLogFiles();
  await log.ask(get('/direct/3'));
  t.deepEqual(await log.lines(), ['DownstreamEnd /direct/3 204 -']);
  t.is(readFileSync(`${log.path}.1`, 'utf8').split('\n').filter(Boolean).length, 2);
});
