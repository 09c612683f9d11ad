import { fromJson } from '@bufbuild/protobuf';
import test from 'ava';
import { parse } from 'yaml';
import { type EnvoyType, schemas } from '../../xds/type-urls.ts';
import { compileResource, ResourceStore } from './compile.ts';
import { registry } from './registry.ts';
import { Warming } from './warming.ts';

/** What has arrived, and what is still waited for. */
class World {
  readonly store = new ResourceStore();
  readonly warming = new Warming();
  readonly pending = new Set<string>();

  put(type: EnvoyType, yaml: string): void {
    const value = fromJson(schemas[type] as never, parse(yaml), { registry }) as {
      name?: string;
      clusterName?: string;
    };
    const problems = this.store.put(type, value.name ?? value.clusterName ?? '', value as never);
    if (problems.length > 0) throw new Error(problems.join('; '));
  }

  advance(now = 0): number {
    return this.warming.advance(this.store, (type, name) => this.pending.has(`${type} ${name}`), now);
  }

  get live(): string[] {
    const { clusters, routes, listeners } = this.warming;
    return [...clusters.keys(), ...routes.keys(), ...listeners.keys()];
  }
}

const types = 'type.googleapis.com/envoy';
const eds = (name: string, timeout = '', more = '') =>
  `{name: ${name}, type: EDS, connect_timeout: 1s, eds_cluster_config: {eds_config: {ads: {}, ${timeout}}}${more}}`;
const routes = (cluster: string) =>
  `{name: r, virtual_hosts: [{name: v, domains: ["*"], routes: [{match: {prefix: /}, route: {cluster: ${cluster}}}]}]}`;
const listener = (name: string, more = '') => `
name: ${name}
address: {socket_address: {address: 127.0.0.1, port_value: 80}}
filter_chains:
- filters:
  - name: hcm
    typed_config:
      "@type": ${types}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
      stat_prefix: ${name}
      rds: {route_config_name: r, config_source: {ads: {}}}
      http_filters: [{name: router, typed_config: {"@type": ${types}.extensions.filters.http.router.v3.Router}}]
${more}`;
const tls = `
  transport_socket: {name: tls, typed_config: {"@type": ${types}.extensions.transport_sockets.tls.v3.DownstreamTlsContext, common_tls_context: {tls_certificate_sds_secret_configs: [{name: cert, sds_config: {ads: {}}}]}}}`;

test('a cluster waits for its endpoints, what names it waits for the cluster, and all come at once', (t) => {
  const world = new World();
  world.put('cluster', eds('a'));
  world.put('route', routes('a'));
  world.put('listener', listener('l'));
  world.pending.add('endpoint a');
  world.advance();
  t.deepEqual(world.live, []);
  t.deepEqual([...world.warming.warmingListeners], ['l']);
  world.pending.clear();
  world.advance();
  t.deepEqual(world.live, ['a', 'r', 'l']);
});

test('a listener waits for its secrets alone, while others open', (t) => {
  const world = new World();
  world.put('cluster', eds('a'));
  world.put('route', routes('a'));
  world.put('listener', listener('plain'));
  world.put('listener', listener('secure', tls));
  world.pending.add('secret cert');
  world.advance();
  t.deepEqual(world.live, ['a', 'r', 'plain']);
  world.pending.clear();
  world.advance();
  t.deepEqual(world.live, ['a', 'r', 'plain', 'secure']);
});

test('a changed listener serves as it was until its secrets are there', (t) => {
  const world = new World();
  world.put('cluster', eds('a'));
  world.put('route', routes('a'));
  world.put('listener', listener('l'));
  world.advance();
  const before = world.warming.listeners.get('l');
  world.put('listener', listener('l', tls));
  world.pending.add('secret cert');
  world.advance();
  t.is(world.warming.listeners.get('l'), before);
  t.deepEqual([...world.warming.warmingListeners], ['l']);
  world.pending.clear();
  world.advance();
  t.not(world.warming.listeners.get('l'), before);
});

test('routes that move to a new cluster wait for it; those that name an old one do not', (t) => {
  const world = new World();
  world.put('cluster', eds('a'));
  world.put('route', routes('a'));
  world.advance();
  const before = world.warming.routes.get('r');
  world.put('cluster', eds('b'));
  world.put('route', routes('b'));
  world.pending.add('endpoint b');
  world.advance();
  t.is(world.warming.routes.get('r'), before);
  world.put('route', routes('a').replace('/', '/x'));
  world.advance();
  t.not(world.warming.routes.get('r'), before);
});

test('after initial_fetch_timeout what is there is used; 0 waits for ever', (t) => {
  const world = new World();
  world.put('cluster', eds('default'));
  world.put('cluster', eds('short', 'initial_fetch_timeout: 2s'));
  world.put('cluster', eds('never', 'initial_fetch_timeout: 0s'));
  for (const name of ['default', 'short', 'never']) world.pending.add(`endpoint ${name}`);
  t.is(world.advance(100), 2100);
  t.deepEqual(world.live, []);
  t.is(world.advance(2100), 15_100);
  t.deepEqual(world.live, ['short']);
  t.is(world.advance(15_100), Number.POSITIVE_INFINITY);
  t.deepEqual(world.live, ['short', 'default']);
});

test('what is removed is removed while it warms, too', (t) => {
  const world = new World();
  world.put('cluster', eds('a'));
  world.put('cluster', eds('b'));
  world.pending.add('endpoint b');
  world.advance();
  world.store.delete('cluster', 'a');
  world.store.delete('cluster', 'b');
  world.advance();
  t.deepEqual(world.live, []);
  t.is(world.warming.warmingClusters.size, 0);
});

test('resources from elsewhere than the control plane are refused by their path', (t) => {
  const refused = (type: EnvoyType, yaml: string) => {
    const compiled = compileResource(type, 'x', fromJson(schemas[type] as never, parse(yaml), { registry }) as never);
    return compiled.ok ? [] : compiled.problems;
  };
  t.deepEqual(refused('cluster', eds('x').replace('ads: {}', 'path_config_source: {path: /f}')), [
    'cluster x: eds_cluster_config.eds_config: pathConfigSource is not supported; give ads or self',
  ]);
  t.regex(
    refused('listener', listener('x').replace('ads: {}', 'path_config_source: {path: /f}'))[0],
    /rds\.config_source: pathConfigSource is not supported/,
  );
  t.regex(
    refused('listener', listener('x', tls.replace('ads: {}', 'path_config_source: {path: /f}')))[0],
    /tls_certificate_sds_secret_configs\[0\]\.sds_config: pathConfigSource is not supported/,
  );
});
