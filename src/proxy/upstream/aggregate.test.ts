import test from 'ava';
import { ok } from '../testing/peers.ts';
import { get, originFor, TestProxy } from '../testing/proxy.ts';
import { clusterOf, endpointOf, forwardOf, httpTable, routeOf } from '../testing/tables.ts';

const names = ['first', 'second'];
const wholeOf = (parts: readonly string[]) =>
  clusterOf('whole', [], { discovery: 'aggregate', policy: 'clusterProvided', parts });

test('an aggregate goes to its first cluster, and to the next as soon as that one has nobody', async (t) => {
  const [first, second] = await Promise.all(names.map((name) => originFor(t, () => ok(name))));
  const whole = wholeOf(names);
  const routes = [routeOf('/', forwardOf('whole'))];
  const tableWith = (...endpoints: ReturnType<typeof endpointOf>[]) =>
    httpTable(routes, [whole, clusterOf('first', endpoints), clusterOf('second', [endpointOf(second.port)])]);
  const proxy = await TestProxy.of(t, tableWith(endpointOf(first.port)));
  t.true((await proxy.ask(t, get())).endsWith('first'));
  await proxy.runtime.apply(tableWith());
  t.true((await proxy.ask(t, get())).endsWith('second'));
  await proxy.runtime.apply(tableWith(endpointOf(first.port, { health: 'unhealthy' })));
  t.true((await proxy.ask(t, get())).endsWith('second'));
  await proxy.runtime.apply(tableWith(endpointOf(first.port)));
  t.true((await proxy.ask(t, get())).endsWith('first'));
});

test('load spills over to the next cluster as far as the first cannot carry it', async (t) => {
  const [first, second] = await Promise.all(names.map((name) => originFor(t, () => ok(name))));
  const ill = endpointOf(first.port, { host: '127.0.0.2', health: 'unhealthy' });
  const proxy = await TestProxy.http(
    t,
    [routeOf('/', forwardOf('whole'))],
    [
      wholeOf(names),
      clusterOf('first', [endpointOf(first.port), ill], { panicThresholdPercent: 0 }),
      clusterOf('second', [endpointOf(second.port)]),
    ],
  );
  const counts = new Map<string, number>();
  for (let i = 0; i < 2000; i++) {
    const pool = proxy.runtime.pool('whole')!;
    counts.set(pool.config.name, (counts.get(pool.config.name) ?? 0) + 1 / 2000);
  }
  t.true(Math.abs(counts.get('first')! - 0.7) < 0.05, JSON.stringify([...counts]));
});

test('an aggregate of clusters that are not there is no cluster', async (t) => {
  const proxy = await TestProxy.http(t, [routeOf('/', forwardOf('whole'))], [wholeOf(['nowhere', 'whole'])]);
  t.true((await proxy.ask(t, get())).startsWith('HTTP/1.1 503'));
});
