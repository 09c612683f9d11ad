import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type FileProxy, startFromFile } from '../agent/file.ts';
import { parseBootstrap } from '../config/bootstrap.ts';
import { createLog } from '../telemetry/log.ts';
import { flushLogFiles } from '../telemetry/log-file.ts';
import { Caller, type Origin, ok } from '../testing/peers.ts';
import { get, originFor, startedByTest } from '../testing/proxy.ts';
import type { Workers } from './workers.ts';

const threads = 2;

class Shared {
  readonly proxy: FileProxy;
  readonly plane: Workers;
  readonly messages: string[];

  private constructor(proxy: FileProxy, messages: string[]) {
    this.proxy = proxy;
    this.plane = proxy.plane as Workers;
    this.messages = messages;
  }

  static async by(t: ExecutionContext, origin: Origin, logPath = '/dev/null', more = ''): Promise<Shared> {
    const bootstrap = parseBootstrap(`
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 0}}}
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
          access_log: [{name: f, typed_config: {"@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog, path: ${logPath}, log_format: {text_format_source: {inline_string: "%REQ(:PATH)% %REQ(FILLER)%\\n"}}}}]
          route_config: {name: r, virtual_hosts: [{name: vh, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: c}}]}]}
          http_filters: [{name: router, typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}}]
  clusters:
  - name: c
    connect_timeout: 1s
    type: STATIC
    load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${origin.port}}}}}]}]}
${more}`);
    const messages: string[] = [];
    const log = createLog('info', false, (line) => void messages.push(line));
    const proxy = await startFromFile(bootstrap, { ...startedByTest, concurrency: threads }, log);
    t.teardown(async () => {
      proxy.lifecycle.quit();
      await proxy.ended;
    });
    return new Shared(proxy, messages);
  }

  async caller(t: ExecutionContext): Promise<Caller> {
    const caller = await Caller.to(this.plane.portOf('main'));
    t.teardown(() => caller.stop());
    return caller;
  }

  page(path: string, method = 'GET'): Promise<string> {
    return new Promise((resolve, reject) => {
      const asked = request({ host: '127.0.0.1', port: this.proxy.adminPort, path, method }, (response) => {
        let body = '';
        response.on('data', (piece) => {
          body += piece;
        });
        response.on('end', () => resolve(body));
      });
      asked.on('error', reject);
      asked.end();
    });
  }

  /** Callers until every worker has one, each with one request answered. */
  async callers(t: ExecutionContext): Promise<Caller[]> {
    const callers: Caller[] = [];
    while (callers.length < 200) {
      const caller = await this.caller(t);
      callers.push(caller);
      await caller.send(get('/')).responses();
      if (this.plane.connections.every((count) => count > 0)) return callers;
    }
    throw new Error(`after 200 connections some worker has none: ${this.plane.connections}`);
  }
}

test.serial('workers share the port, and the admin pages show one proxy', async (t) => {
  const shared = await Shared.by(t, await originFor(t, () => ok('hello')));
  const callers = await shared.callers(t);
  const stats = await shared.page('/stats');
  t.regex(stats, new RegExp(`^http\\.ingress\\.downstream_rq_total: ${callers.length}$`, 'm'));
  t.regex(stats, new RegExp(`^http\\.ingress\\.downstream_cx_active: ${callers.length}$`, 'm'));
  t.regex(stats, /^cluster\.c\.membership_total: 1$/m);
  t.regex(stats, /^server\.concurrency: 2$/m);
  t.regex(stats, /^http\.ingress\.downstream_rq_time: P0/m);
  for (let i = 0; i < threads; i++)
    t.regex(stats, new RegExp(`^listener\\.127\\.0\\.0\\.1_0\\.worker_${i}\\.downstream_cx_total: [1-9]`, 'm'));
  const text = await shared.page('/clusters');
  t.regex(text, new RegExp(`::rq_total::${callers.length}\n`));
  t.is(text.match(/::health_flags::healthy\n/g)?.length, 1);
  const clusters = JSON.parse(await shared.page('/clusters?format=json'));
  const counted = clusters.cluster_statuses[0].host_statuses[0].stats as Array<{ name: string; value?: string }>;
  t.is(counted.find(({ name }) => name === 'rq_total')?.value, `${callers.length}`);
  t.regex(await shared.page('/listeners'), new RegExp(`^main::127.0.0.1:${shared.plane.portOf('main')}$`, 'm'));
  await shared.page('/reset_counters', 'POST');
  t.regex(await shared.page('/stats'), /^http\.ingress\.downstream_rq_total: 0$/m);
});

test.serial('a line of the access log is whole, whichever worker wrote it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lateen-workers-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'log');
  const shared = await Shared.by(t, await originFor(t, () => ok('')), path);
  const filler = 'x'.repeat(6000);
  const callers = await shared.callers(t);
  await Promise.all(
    callers.map(async (caller, i) => {
      for (let n = 0; n < 20; n++) caller.send(get(`/${i}-${n}`, `filler: ${filler}\r\n`));
      await caller.responses(20);
    }),
  );
  shared.proxy.lifecycle.quit();
  await shared.proxy.ended;
  await flushLogFiles();
  const lines = readFileSync(path, 'utf8').trim().split('\n');
  t.is(lines.length, callers.length * 21);
  t.is(new Set(lines.filter((line) => line !== '/ -')).size, callers.length * 20);
  t.true(lines.every((line) => line === '/ -' || /^\/\d+-\d+ x{6000}$/.test(line)));
});

test.serial('a new table reaches every worker, and cuts no connection', async (t) => {
  const shared = await Shared.by(t, await originFor(t, () => ok('one')));
  const callers = await shared.callers(t);
  const second = await originFor(t, () => ok('two'));
  const next = parseBootstrap(`
static_resources:
  clusters:
  - name: c
    connect_timeout: 1s
    type: STATIC
    load_assignment: {cluster_name: c, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: ${second.port}}}}}]}]}
`).table;
  const { table } = shared.plane;
  await shared.plane.apply({ ...table, version: 2, clusters: next.clusters });
  for (const caller of callers) t.regex(await caller.send(get('/')).responses(), /two$/);
});

test.serial('a worker that falls is replaced, said and counted; the connections of the others stay', async (t) => {
  const shared = await Shared.by(t, await originFor(t, () => ok('hello')));
  const callers = await shared.callers(t);
  await shared.plane.thread(1).terminate();
  const answers = await Promise.all(
    callers.map((caller) => Promise.race([caller.send(get('/')).responses(), caller.finished()]).catch(() => '')),
  );
  const stayed = answers.filter((answer) => answer.endsWith('hello'));
  t.true(stayed.length >= 1 && stayed.length < callers.length, `${stayed.length} of ${callers.length}`);
  t.true(shared.messages.some((line) => line.includes('worker 1 fell')));
  t.regex(await shared.page('/stats'), /^server\.worker_replaced: 1$/m);
  while (!shared.messages.some((line) => line.includes('worker 1 serves again'))) await new Promise(setImmediate);
  await shared.callers(t);
});

test.serial('workers drain together', async (t) => {
  const shared = await Shared.by(t, await originFor(t, () => ok('hello')));
  const callers = await shared.callers(t);
  shared.proxy.lifecycle.drainNow();
  await shared.plane.settled();
  t.is(await shared.page('/ready'), 'DRAINING\n');
  for (const caller of callers) t.regex(await caller.send(get('/')).responses(), /connection: close/i);
  shared.proxy.lifecycle.quit();
  await shared.proxy.ended;
  for (const caller of callers) t.is(await caller.finished(), '');
});

test.serial('the limit of connections holds over all workers', async (t) => {
  const shared = await Shared.by(
    t,
    await originFor(t, () => ok('hello')),
    '/dev/null',
    `
layered_runtime: {layers: [{name: s, static_layer: {overload.global_downstream_max_connections: 4}}, {name: a, admin_layer: {}}]}`,
  );
  const open: Caller[] = [];
  for (let i = 0; i < 4; i++) {
    const caller = await shared.caller(t);
    t.regex(await caller.send(get('/')).responses(), /hello$/);
    open.push(caller);
  }
  const refused = await shared.caller(t);
  t.is(await refused.send(get('/')).finished(), '');
  t.is(await shared.page('/runtime_modify?overload.global_downstream_max_connections=100', 'POST'), 'OK\n');
  const taken = await shared.caller(t);
  t.regex(await taken.send(get('/')).responses(), /hello$/);
});
