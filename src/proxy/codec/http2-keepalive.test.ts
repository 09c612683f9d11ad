import test from 'ava';
import { frame, Http2Peer } from '../testing/http2-peer.ts';
import { rawOrigin, TestProxy } from '../testing/proxy.ts';
import { clusterOf, endpointOf, forwardOf, http2LimitsOf, routeOf } from '../testing/tables.ts';

const pings = (peer: Http2Peer) => peer.frames.filter(({ type, flags }) => type === 6 && flags === 0);
const toA = [routeOf('/', forwardOf('a'))];

test('a caller that answers is asked again and again, one that does not is let go', async (t) => {
  const asking = (timeoutMs: number) => ({
    http2: http2LimitsOf({ keepalive: { intervalMs: 5, timeoutMs, jitterPercent: 10 } }),
  });
  const patient = await TestProxy.http(t, toA, [clusterOf('a', [])], asking(60_000));
  const alive = await Http2Peer.to(patient.runtime.portOf('listener'));
  t.teardown(() => alive.stop());
  alive.greet();
  for (let asked = 1; asked <= 3; asked++) {
    await alive.until(() => pings(alive).length >= asked);
    t.is(pings(alive).length, asked);
    alive.send(frame(6, 1, 0, pings(alive)[asked - 1].payload));
  }
  t.false(alive.closed);
  const strict = await TestProxy.http(t, toA, [clusterOf('a', [])], asking(20));
  const silent = await Http2Peer.to(strict.runtime.portOf('listener'));
  silent.greet();
  await silent.until(() => silent.closed);
  t.is(pings(silent).length, 1);
});

test('a request to a host that no longer answers PINGs fails, instead of waiting for its timeout', async (t) => {
  const origin = await rawOrigin(t, (socket) => socket.resume());
  const keepalive = { intervalMs: 5, timeoutMs: 20, jitterPercent: 0 };
  const proxy = await TestProxy.http(t, toA, [
    clusterOf('a', [endpointOf(origin.port)], { http: 'http2', http2: http2LimitsOf({ keepalive }) }),
  ]);
  const caller = await proxy.caller(t);
  t.regex(await caller.send('GET / HTTP/1.1\r\nHost: shop\r\n\r\n').responses(), /^HTTP\/1\.1 503 /);
  t.is(proxy.witness.finished[0].flags, 'UC');
});
