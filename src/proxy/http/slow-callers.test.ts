import test, { type ExecutionContext } from 'ava';
import type { HttpManager } from '../config/table.ts';
import { ok } from '../testing/peers.ts';
import { get, originFor, TestProxy } from '../testing/proxy.ts';
import { clusterOf, endpointOf, forwardOf, routeOf } from '../testing/tables.ts';

async function proxyWith(t: ExecutionContext, manager: Partial<HttpManager>) {
  const origin = await originFor(t, () => ok('hello'));
  return TestProxy.http(t, [routeOf('/', forwardOf('a'))], [clusterOf('a', [endpointOf(origin.port)])], manager);
}

for (const [name, manager, details, flags] of [
  ['its head', { requestHeadersTimeoutMs: 50 }, 'request_header_timeout', ''],
  ['the whole request', { requestTimeoutMs: 50 }, 'request_overall_timeout', ''],
  ['anything to move', { streamIdleTimeoutMs: 50 }, 'stream_idle_timeout', 'SI'],
] as const)
  test(`half a head that takes too long for ${name} is answered, told of and let go`, async (t) => {
    const proxy = await proxyWith(t, manager);
    const caller = await proxy.caller(t);
    caller.socket.write('GET / HTTP/1.1\r\nHost: sh');
    t.regex(await caller.finished(), /^HTTP\/1\.1 408 /);
    const [finished] = proxy.witness.finished;
    t.is(finished.status, 408);
    t.is(finished.details, details);
    t.is(finished.flags, flags);
  });

for (const codec of ['auto', 'http1'] as const)
  for (const [what, bytes] of [
    ['says nothing', ''],
    ['says next to nothing', 'P'],
  ] as const)
    test(`who ${what} does not keep a connection for ever (codec ${codec})`, async (t) => {
      const proxy = await proxyWith(t, { codec, idleTimeoutMs: 50, streamIdleTimeoutMs: 50 });
      const caller = await proxy.caller(t);
      if (bytes !== '') caller.socket.write(bytes);
      await caller.finished();
      const other = await proxy.ask(t, get('/'));
      t.regex(other, /^HTTP\/1\.1 200 /, 'others are served');
    });
