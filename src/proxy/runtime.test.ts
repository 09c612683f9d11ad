import test from 'ava';
import { createRuntime } from './runtime.ts';
import { Caller, httpOrigin, noSecrets, ok, Witness } from './testing/peers.ts';
import { get, originFor, TestProxy } from './testing/proxy.ts';
import { clusterOf, endpointOf, forwardOf, httpTable, listenerOf, routeOf } from './testing/tables.ts';

test('a request is forwarded with the headers of a sidecar, and its connection is used again', async (t) => {
  const heads: string[] = [];
  const origin = await httpOrigin(({ head, body }) => {
    heads.push(head);
    return ok(`<${body}>`, 'x-origin: yes\r\n');
  }).start();
  const witness = new Witness();
  const runtime = await createRuntime({
    table: httpTable([routeOf('/', forwardOf('a'))], [clusterOf('a', [endpointOf(origin.port)])]),
    secrets: noSecrets,
    telemetry: witness,
  });
  const caller = await Caller.to(runtime.portOf('listener'));
  for (let i = 0; i < 3; i++) {
    const answer = await caller
      .send('POST /x?y=1 HTTP/1.1\r\nHost: shop\r\nContent-Length: 3\r\nX-Own: 1\r\n\r\nabc')
      .responses();
    t.regex(
      answer,
      /^HTTP\/1\.1 200 OK\r\nx-origin: yes\r\ncontent-length: 5\r\nx-envoy-upstream-service-time: \d+\r\ndate: .*\r\nserver: istio-envoy\r\n\r\n<abc>$/,
    );
  }
  t.is(origin.connections, 1);
  t.regex(
    heads[0],
    /^POST \/x\?y=1 HTTP\/1\.1\r\nHost: shop\r\nContent-Length: 3\r\nX-Own: 1\r\nx-forwarded-proto: http\r\nx-request-id: [0-9a-f-]{36}\r\nx-envoy-attempt-count: 1$/,
  );
  t.deepEqual(
    witness.finished.map(({ status, flags, details, attempts, requestBytes, responseBytes }) => ({
      status,
      flags,
      details,
      attempts,
      requestBytes,
      responseBytes,
    })),
    Array(3).fill({ status: 200, flags: '', details: 'via_upstream', attempts: 1, requestBytes: 3, responseBytes: 5 }),
  );
  caller.stop();
  await runtime.close();
  origin.stop();
});

test('a changed cluster serves as it was until DNS has answered for the new one', async (t) => {
  const [one, two] = await Promise.all([originFor(t, () => ok('one')), originFor(t, () => ok('two'))]);
  const routes = [routeOf('/', forwardOf('a'))];
  const proxy = await TestProxy.of(t, httpTable(routes, [clusterOf('a', [endpointOf(one.port)], { hash: '1' })]));
  const { runtime } = proxy;
  const named = { discovery: 'strictDns', hash: '2' } as const;
  const next = clusterOf('a', [endpointOf(two.port, { host: 'localhost' })], named);
  const before = runtime.pool('a');
  const applied = runtime.apply(httpTable(routes, [next]));
  t.is(runtime.pool('a'), before);
  t.deepEqual(runtime.stillWarming, { clusters: 1, listeners: 0 });
  t.regex(await proxy.ask(t, get()), /(one|two)$/);
  await applied;
  while (runtime.stillWarming.clusters > 0) await new Promise(setImmediate);
  t.not(runtime.pool('a'), before);
  t.regex(await proxy.ask(t, get()), /two$/);
});

test('a listener opens when its own clusters are warm, and not before; others do not wait for it', async (t) => {
  const origin = await originFor(t, () => ok('here'));
  const known = clusterOf('a', [endpointOf(origin.port)]);
  const table = httpTable([routeOf('/', forwardOf('a'))], [known]);
  const { runtime } = await TestProxy.of(t, table);
  const slow = clusterOf('slow', [endpointOf(origin.port, { host: 'localhost' })], { discovery: 'strictDns' });
  const { clusters: _, ...second } = httpTable([routeOf('/', forwardOf('slow'))], [], { routeName: 'second' });
  const listener = second.listeners.get('listener')!;
  const next = {
    version: 2,
    clusters: new Map([
      ['a', known],
      ['slow', slow],
    ]),
    listeners: new Map([
      ...table.listeners,
      ['waits', { ...listener, name: 'waits' }],
      ['opens', listenerOf(table.listeners.get('listener')!.chains, { name: 'opens' })],
    ]),
    routeTables: new Map([...table.routeTables, ['second', second.routeTables.get('routes')!]]),
  };
  const applied = runtime.apply(next);
  t.deepEqual(runtime.stillWarming, { clusters: 1, listeners: 1 });
  t.false(runtime.table.listeners.has('waits'));
  t.true(runtime.table.listeners.has('opens'));
  t.is(runtime.pool('slow'), null);
  await applied;
  t.deepEqual(runtime.stillWarming, { clusters: 0, listeners: 0 });
  const caller = await Caller.to(runtime.portOf('waits'));
  t.regex(await caller.send(get()).responses(), /here$/);
  caller.stop();
});
