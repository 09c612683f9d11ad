import test from 'ava';
import type { Cluster } from '../config/table.ts';
import { ok } from '../testing/peers.ts';
import { get, originFor, TestProxy } from '../testing/proxy.ts';
import {
  chainOf,
  clusterOf,
  endpointOf,
  forwardOf,
  httpTable,
  listenerOf,
  routeOf,
  tableOf,
  tcpOf,
} from '../testing/tables.ts';

const routes = [routeOf('/', forwardOf('a'))];

test('when a host comes, connections to the others end where that is asked for, and stay where it is not', async (t) => {
  for (const closes of [true, false]) {
    const [first, second] = [await originFor(t, () => ok('first')), await originFor(t, () => ok('second'))];
    const tableWith = (...ports: number[]) =>
      httpTable(routes, [
        clusterOf(
          'a',
          ports.map((port) => endpointOf(port)),
          { closesOnHostSetChange: closes },
        ),
      ]);
    const proxy = await TestProxy.of(t, tableWith(first.port));
    await proxy.ask(t, get());
    await proxy.ask(t, get());
    t.is(first.connections, 1);
    await proxy.runtime.apply(tableWith(first.port, second.port));
    await proxy.ask(t, get());
    await proxy.ask(t, get());
    t.is(first.connections, closes ? 2 : 1);
    t.is(second.connections, 1);
  }
});

test('a connection that has lasted as long as it may serves no other request', async (t) => {
  const origin = await originFor(t, () => ok('hello'));
  const lasting = async (maxConnectionMs: number) => {
    const proxy = await TestProxy.http(t, routes, [clusterOf('a', [endpointOf(origin.port)], { maxConnectionMs })]);
    const before = origin.connections;
    const caller = await proxy.caller(t);
    for (let i = 0; i < 3; i++) await caller.send(get()).responses();
    return {
      connections: origin.connections - before,
      reached: proxy.runtime.pool('a')!.counters.upstreamCxMaxDurationReached,
    };
  };
  t.deepEqual(await lasting(60_000), { connections: 1, reached: 0 });
  t.deepEqual(await lasting(0.001), { connections: 3, reached: 3 });
});

test('relays to a host end when its check fails, where that is asked for', async (t) => {
  let status = 200;
  const origin = await originFor(t, ({ head }) =>
    head.includes('/health') ? `HTTP/1.1 ${status} X\r\ncontent-length: 0\r\n\r\n` : ok('hello'),
  );
  const healthCheck: Cluster['healthCheck'] = {
    timeoutMs: 1000,
    intervalMs: 20,
    initialJitterMs: 0,
    jitterMs: 0,
    jitterPercent: 0,
    unhealthyThreshold: 1,
    healthyThreshold: 1,
    idleIntervalMs: 20,
    idleHealthyIntervalMs: 20,
    unhealthyIntervalMs: 20,
    unhealthyEdgeIntervalMs: 20,
    healthyEdgeIntervalMs: 20,
    reusesConnection: true,
    alpn: [],
    probe: {
      kind: 'http',
      method: 'GET',
      host: '',
      path: '/health',
      http2: false,
      send: null,
      receive: [],
      maxBodyBytes: 1024,
      add: [],
      remove: new Set(),
      expected: [[200, 201]],
      retriable: [],
      service: null,
    },
  };
  const cluster = clusterOf('a', [endpointOf(origin.port)], { healthCheck, closesUnhealthy: true });
  const proxy = await TestProxy.of(
    t,
    tableOf({ listeners: [listenerOf([chainOf({ tcp: tcpOf('a') })])], clusters: [cluster] }),
  );
  const caller = await proxy.caller(t);
  await caller.send(get()).responses();
  status = 503;
  await caller.finished();
  t.true(caller.ended || caller.closed);
});
