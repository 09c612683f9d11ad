import test from 'ava';
import fc from 'fast-check';
import { fields, frame, Http2Peer, request, settings, uint32 } from '../testing/http2-peer.ts';
import { ok } from '../testing/peers.ts';
import { originFor, TestProxy } from '../testing/proxy.ts';
import { clusterOf, endpointOf, forwardOf, routeOf } from '../testing/tables.ts';
import { preface } from './http2-frames.ts';

const post = [[':method', 'POST'] as const, ...request.slice(1), ['x-a', 'b'] as const];

const wire = Buffer.concat([
  preface,
  frame(4, 0, 0, settings([4, 100_000])),
  frame(1, 0, 1, fields(...post.slice(0, 2))),
  frame(9, 4, 1, fields(...post.slice(2))),
  frame(8, 0, 0, uint32(1000)),
  frame(0, 8, 1, Buffer.concat([Buffer.from([3]), Buffer.from('hello '), Buffer.alloc(3)])),
  frame(6, 0, 0, Buffer.alloc(8)),
  frame(0, 1, 1, Buffer.from('world')),
]);

test('any split of the bytes is the same request', async (t) => {
  const origin = await originFor(t, ({ body }) => ok(`got ${body}`));
  const proxy = await TestProxy.http(t, [routeOf('/', forwardOf('a'))], [clusterOf('a', [endpointOf(origin.port)])]);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.integer({ min: 1, max: wire.length - 1 }), { maxLength: 8 }), async (places) => {
      const peer = await Http2Peer.to(proxy.runtime.portOf('listener'));
      peer.socket.setNoDelay(true);
      let at = 0;
      for (const place of [...new Set(places)].sort((a, b) => a - b)) {
        peer.send(wire.subarray(at, place));
        at = place;
        await new Promise((resolve) => setImmediate(resolve));
      }
      peer.send(wire.subarray(at));
      const data = await peer.next(0, 1);
      peer.stop();
      t.is(data?.payload.toString(), 'got hello world');
    }),
    { numRuns: 60 },
  );
});

test('no bytes behind the preface take the proxy down', async (t) => {
  const proxy = await TestProxy.http(t, [routeOf('/', null, { direct: { status: 200, body: Buffer.from('hi') } })], []);
  const port = proxy.runtime.portOf('listener');
  const pieces = fc.array(
    fc.oneof(
      fc
        .tuple(fc.nat(10), fc.nat(255), fc.nat(5), fc.uint8Array({ maxLength: 40 }))
        .map(([type, flags, stream, bytes]) => frame(type, flags, stream, Buffer.from(bytes))),
      fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes)),
      fc.constant(frame(1, 5, 1, fields(...request))),
    ),
    { maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(pieces, async (sent) => {
      const peer = await Http2Peer.to(port);
      peer.greet().send(...sent, frame(6, 0, 0, Buffer.from('deadbeef')));
      // Either the PING is answered, or the connection was ended; never silence of a live one within a frame.
      peer.socket.end();
      await peer.until(() => peer.closed);
      peer.stop();
    }),
    { numRuns: 150 },
  );
  const last = await Http2Peer.to(port);
  t.is(
    (
      await last
        .greet()
        .send(frame(1, 5, 1, fields(...request)))
        .next(1)
    )?.payload[0],
    0x88,
  );
  last.stop();
});
