import test, { type ExecutionContext } from 'ava';
import { createRuntime } from '../runtime.ts';
import { fields, frame, Http2Peer } from '../testing/http2-peer.ts';
import { Caller, noSecrets, ok, Witness } from '../testing/peers.ts';
import { get, originFor, rawOrigin, TestProxy } from '../testing/proxy.ts';
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
import { Draining } from './draining.ts';

const inbound = listenerOf([], { direction: 'inbound' });
const outbound = listenerOf([], { direction: 'outbound' });

/** How many of so many answers ask their caller to go. */
function asked(draining: Draining, listener: typeof inbound, tick: number, of = 2000): number {
  let count = 0;
  for (let i = 0; i < of; i++) if (draining.asks(listener, tick)) count++;
  return count;
}

test('a gradual drain asks a growing share, an immediate one everybody', (t) => {
  const gradual = new Draining();
  t.is(asked(gradual, inbound, 0), 0);
  gradual.begin({ inboundOnly: false, spanMs: 1000 }, 5000);
  t.is(asked(gradual, inbound, 5000), 0);
  // 2,000 draws at a quarter: twelve standard deviations to either side.
  t.true(Math.abs(asked(gradual, inbound, 5250) - 500) < 240);
  t.is(asked(gradual, outbound, 6000), 2000);
  t.false(gradual.complete(inbound, 5999));
  t.true(gradual.complete(inbound, 6000));
  const immediate = new Draining();
  immediate.begin({ inboundOnly: false, spanMs: 0 }, 5000);
  t.is(asked(immediate, outbound, 5000), 2000);
});

test('inbound listeners drain alone, until all are told to', (t) => {
  const draining = new Draining();
  draining.begin({ inboundOnly: true, spanMs: 0 }, 0);
  t.true(draining.asks(inbound, 1));
  t.false(draining.asks(outbound, 1));
  draining.begin({ inboundOnly: false, spanMs: 100 }, 10);
  t.true(draining.asks(inbound, 11));
  t.true(draining.asks(outbound, 11));
});

test('what is under way is never slowed down by a later request', (t) => {
  const draining = new Draining();
  draining.begin({ inboundOnly: false, spanMs: 100 }, 0);
  draining.begin({ inboundOnly: false, spanMs: 1000 }, 50);
  t.true(draining.complete(inbound, 100));
  draining.begin({ inboundOnly: false, spanMs: 0 }, 60);
  t.true(draining.complete(inbound, 60));
});

test('answers of an inbound drain say close on inbound listeners alone', async (t) => {
  const origin = await originFor(t, () => ok('hello'));
  const table = httpTable([routeOf('/', forwardOf('a'))], [clusterOf('a', [endpointOf(origin.port)])]);
  const [chain] = table.listeners.get('listener')!.chains;
  const out = listenerOf([chain], { name: 'out', direction: 'outbound' });
  const { runtime } = await TestProxy.of(t, { ...table, listeners: new Map([...table.listeners, ['out', out]]) });
  runtime.draining.begin({ inboundOnly: true, spanMs: 0 }, performance.now());
  const ask = async (listener: string) => {
    const caller = await Caller.to(runtime.portOf(listener));
    t.teardown(() => caller.stop());
    return caller.send(get()).responses();
  };
  t.regex(await ask('listener'), /connection: close/);
  t.notRegex(await ask('out'), /connection: close/);
});

/** A relay in a runtime that lets connections of lost filter chains go after `drainMs`. */
async function relayed(t: ExecutionContext, drainMs: number) {
  const origin = await rawOrigin(t, (socket) => socket.pipe(socket));
  const tcp = chainOf({ name: 'tcp', tcp: tcpOf('a') });
  const tableWith = (chains: (typeof tcp)[]) =>
    tableOf({ listeners: [listenerOf(chains)], clusters: [clusterOf('a', [endpointOf(origin.port)])] });
  const runtime = await createRuntime({
    table: tableWith([tcp]),
    secrets: noSecrets,
    telemetry: new Witness(),
    drainMs,
  });
  t.teardown(() => runtime.close());
  const caller = await Caller.to(runtime.portOf('listener'));
  t.teardown(() => caller.stop());
  await caller.send('one').until(() => caller.received === 'one');
  return { runtime, caller, tcp, tableWith };
}

test('a connection whose filter chain is gone is cut after the time of draining', async (t) => {
  const { runtime, caller, tcp, tableWith } = await relayed(t, 0);
  const other = { ...tcp, name: 'other', match: { ...tcp.match, destinationPort: 1 } };
  await runtime.apply(tableWith([other]));
  t.is(await caller.finished(), 'one');
});

test('until then it goes on, and it stays when a chain of its kind takes it again', async (t) => {
  const { runtime, caller, tcp, tableWith } = await relayed(t, 60_000);
  const other = { ...tcp, name: 'other', match: { ...tcp.match, destinationPort: 1 } };
  await runtime.apply(tableWith([other]));
  while (runtime.leftOver.chains === 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await caller.send('two').until(() => caller.received === 'onetwo');
  await runtime.apply(tableWith([tcp]));
  while (runtime.leftOver.chains > 0) await new Promise((resolve) => setTimeout(resolve, 20));
  await caller.send('three').until(() => caller.received === 'onetwothree');
  t.false(caller.ended);
});

test('HTTP/2 learns of a drain by GOAWAY with the largest stream first, then with the last one', async (t) => {
  const origin = await originFor(t, () => ok('hello'));
  const proxy = await TestProxy.http(t, [routeOf('/', forwardOf('a'))], [clusterOf('a', [endpointOf(origin.port)])], {
    codec: 'http2',
    drainTimeoutMs: 100,
  });
  const peer = await Http2Peer.to(proxy.runtime.portOf('listener'));
  t.teardown(() => peer.stop());
  peer.greet();
  proxy.runtime.draining.begin({ inboundOnly: false, spanMs: 0 }, performance.now());
  peer.send(frame(1, 5, 1, fields([':method', 'GET'], [':scheme', 'http'], [':path', '/'], [':authority', 'shop'])));
  await peer.until(() => peer.frames.filter(({ type }) => type === 7).length === 2);
  const told = peer.frames.filter(({ type }) => type === 7).map(({ payload }) => payload.readUInt32BE(0));
  t.deepEqual(told, [2 ** 31 - 1, 1]);
});
