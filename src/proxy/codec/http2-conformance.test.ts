/** What RFC 9113 and RFC 7541 demand of a server, each case with its section, over a real socket to a real proxy. */
import test, { type ExecutionContext } from 'ava';
import type { HttpManager } from '../config/table.ts';
import { field, fields, frame, Http2Peer, request, settings, uint32 } from '../testing/http2-peer.ts';
import { rawOrigin, TestProxy } from '../testing/proxy.ts';
import { clusterOf, endpointOf, forwardOf, http2LimitsOf, routeOf } from '../testing/tables.ts';
import { preface } from './http2-frames.ts';

const routes = [routeOf('/', null, { direct: { status: 200, body: Buffer.from('hello') } })];
const end = 1;
const headersEnd = 4;
const both = end | headersEnd;

const get = (stream = 1, more: ReadonlyArray<readonly [string, string]> = []): Buffer =>
  frame(1, both, stream, fields(...request, ...more));
/** A request whose rest is waited for by nobody but the host. */
const waiting: ReadonlyArray<readonly [string, string]> = [...request.slice(0, 3), [':path', '/wait']];
const open = (stream = 1): Buffer => frame(1, headersEnd, stream, fields(...waiting));
const post = (stream: number, length: string): Buffer =>
  frame(1, headersEnd, stream, fields([':method', 'POST'], ...waiting.slice(1), ['content-length', length]));
const without = (name: string): Buffer => frame(1, both, 1, fields(...request.filter(([one]) => one !== name)));
const zero = Buffer.alloc(8);

/** Sent after the greeting; what must come back: `200`, or how stream 1 or the connection ends. */
const cases: ReadonlyArray<
  readonly [section: string, name: string, bytes: readonly Buffer[], outcome: string | readonly string[]]
> = [
  ['9113 §3.4', 'SETTINGS first, then a request', [get()], '200'],
  ['9113 §4.1', 'an unknown frame is ignored', [frame(0xfe, 0, 0, zero), get()], '200'],
  ['9113 §4.1', 'an unknown frame on a stream is ignored', [frame(0xfe, 0xff, 9, zero), get()], '200'],
  ['9113 §4.1', 'unknown flags are ignored', [frame(6, 0xfe, 0, zero), get()], '200'],
  ['9113 §4.1', 'the reserved bit is ignored', [frame(1, both, 0x80000001, fields(...request))], '200'],
  ['9113 §4.2', 'a frame larger than allowed', [frame(0xfe, 0, 0, Buffer.alloc(16_385))], 'GOAWAY 6'],
  ['9113 §4.2', 'HEADERS larger than allowed', [frame(1, both, 1, Buffer.alloc(16_385))], 'GOAWAY 6'],
  ['9113 §4.2', 'DATA larger than allowed', [open(), frame(0, 0, 1, Buffer.alloc(16_385))], 'GOAWAY 6'],
  [
    '9113 §4.3',
    'a field block that cannot be decoded',
    [frame(1, both, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff]))],
    'GOAWAY 9',
  ],
  [
    '9113 §4.3',
    'another frame within a field block',
    [frame(1, end, 1, fields(...request)), frame(6, 0, 0, zero)],
    'GOAWAY 1',
  ],
  ['9113 §4.3', 'another stream within a field block', [frame(1, end, 1, fields(...request)), get(3)], 'GOAWAY 1'],
  ['9113 §5.1', 'DATA on an idle stream', [frame(0, end, 1, zero)], 'GOAWAY 1'],
  ['9113 §5.1', 'RST_STREAM on an idle stream', [frame(3, 0, 1, uint32(8))], 'GOAWAY 1'],
  ['9113 §5.1', 'WINDOW_UPDATE on an idle stream', [frame(8, 0, 1, uint32(1))], 'GOAWAY 1'],
  ['9113 §5.1', 'CONTINUATION on an idle stream', [frame(9, headersEnd, 1, fields(...request))], 'GOAWAY 1'],
  ['9113 §5.1', 'HEADERS on a closed stream', [get(), get()], ['GOAWAY 5', 'RST 5']],
  ['9113 §5.1', 'DATA on a closed stream', [get(), frame(0, end, 1, zero)], ['RST 5', 'GOAWAY 5']],
  ['9113 §5.1', 'CONTINUATION on a closed stream', [get(), frame(9, headersEnd, 1, fields(...request))], 'GOAWAY 1'],
  ['9113 §5.1', 'PRIORITY on an idle stream', [frame(2, 0, 1, Buffer.from([0, 0, 0, 0, 1])), get()], '200'],
  ['9113 §5.1.1', 'an even stream', [get(2)], 'GOAWAY 1'],
  ['9113 §5.1.1', 'stream 0', [get(0)], 'GOAWAY 1'],
  ['9113 §5.1.1', 'a smaller number than before', [get(5), get(3)], ['GOAWAY 5', 'GOAWAY 1']],
  [
    '9113 §5.3.1',
    'HEADERS that depend on themselves',
    [frame(1, both | 32, 1, Buffer.concat([uint32(1), Buffer.from([0]), fields(...request)]))],
    ['GOAWAY 1', 'RST 1'],
  ],
  [
    '9113 §5.3.1',
    'PRIORITY that depends on itself',
    [frame(2, 0, 1, Buffer.concat([uint32(1), Buffer.from([0])]))],
    ['GOAWAY 1', 'RST 1'],
  ],
  ['9113 §6.1', 'DATA on stream 0', [frame(0, end, 0, zero)], 'GOAWAY 1'],
  ['9113 §6.1', 'padding longer than DATA', [open(), frame(0, end | 8, 1, Buffer.from([9, 1, 2]))], 'GOAWAY 1'],
  ['9113 §6.1', 'padded DATA without a length', [open(), frame(0, 8, 1)], 'GOAWAY 6'],
  [
    '9113 §6.2',
    'padded HEADERS',
    [frame(1, both | 8, 1, Buffer.concat([Buffer.from([3]), fields(...request), Buffer.alloc(3)]))],
    '200',
  ],
  [
    '9113 §6.2',
    'padding longer than HEADERS',
    [frame(1, both | 8, 1, Buffer.concat([Buffer.from([255]), fields(...request)]))],
    'GOAWAY 1',
  ],
  [
    '9113 §6.2',
    'HEADERS with a priority',
    [frame(1, both | 32, 1, Buffer.concat([uint32(0), Buffer.from([9]), fields(...request)]))],
    '200',
  ],
  ['9113 §6.2', 'a priority that is cut off', [frame(1, both | 32, 1, Buffer.from([0, 0]))], 'GOAWAY 6'],
  ['9113 §6.3', 'PRIORITY on stream 0', [frame(2, 0, 0, Buffer.alloc(5))], 'GOAWAY 1'],
  ['9113 §6.3', 'PRIORITY of another size', [frame(2, 0, 1, Buffer.alloc(4))], ['GOAWAY 6', 'RST 6']],
  ['9113 §6.4', 'RST_STREAM on stream 0', [frame(3, 0, 0, uint32(8))], 'GOAWAY 1'],
  ['9113 §6.4', 'RST_STREAM of another size', [open(), frame(3, 0, 1, Buffer.alloc(3))], 'GOAWAY 6'],
  ['9113 §6.5', 'SETTINGS on a stream', [frame(4, 0, 1)], 'GOAWAY 1'],
  ['9113 §6.5', 'SETTINGS of another size', [frame(4, 0, 0, Buffer.alloc(5))], 'GOAWAY 6'],
  ['9113 §6.5', 'an ACK with a payload', [frame(4, 1, 0, settings([1, 0]))], 'GOAWAY 6'],
  ['9113 §6.5.2', 'ENABLE_PUSH 2', [frame(4, 0, 0, settings([2, 2]))], 'GOAWAY 1'],
  ['9113 §6.5.2', 'a window beyond 2³¹−1', [frame(4, 0, 0, settings([4, 0x80000000]))], 'GOAWAY 3'],
  ['9113 §6.5.2', 'a frame size below 16384', [frame(4, 0, 0, settings([5, 16_383]))], 'GOAWAY 1'],
  ['9113 §6.5.2', 'a frame size beyond 2²⁴−1', [frame(4, 0, 0, settings([5, 0x1000000]))], 'GOAWAY 1'],
  ['9113 §6.5.2', 'unknown settings are ignored', [frame(4, 0, 0, settings([0xfe, 1])), get()], '200'],
  ['9113 §6.5.3', 'settings are acknowledged', [frame(4, 0, 0, settings([4, 70_000])), get()], '200'],
  [
    '9113 §6.6',
    'PUSH_PROMISE from a client',
    [frame(5, headersEnd, 1, Buffer.concat([uint32(2), fields(...request)]))],
    'GOAWAY 1',
  ],
  ['9113 §6.7', 'PING on a stream', [frame(6, 0, 1, zero)], 'GOAWAY 1'],
  ['9113 §6.7', 'PING of another size', [frame(6, 0, 0, Buffer.alloc(6))], 'GOAWAY 6'],
  ['9113 §6.7', 'an unasked answer to PING is ignored', [frame(6, 1, 0, zero), get()], '200'],
  ['9113 §6.8', 'GOAWAY on a stream', [frame(7, 0, 1, Buffer.alloc(8))], 'GOAWAY 1'],
  ['9113 §6.9', 'WINDOW_UPDATE of 0 on the connection', [frame(8, 0, 0, uint32(0))], 'GOAWAY 1'],
  ['9113 §6.9', 'WINDOW_UPDATE of 0 on a stream', [open(), frame(8, 0, 1, uint32(0))], ['RST 1', 'RST 0']],
  ['9113 §6.9', 'WINDOW_UPDATE of another size', [frame(8, 0, 0, Buffer.alloc(3))], 'GOAWAY 6'],
  [
    '9113 §6.9.1',
    'the connection window overflows',
    [frame(8, 0, 0, uint32(0x7fffffff)), frame(8, 0, 0, uint32(0x7fffffff))],
    'GOAWAY 3',
  ],
  [
    '9113 §6.10',
    'CONTINUATION completes HEADERS',
    [frame(1, end, 1, fields(...request.slice(0, 2))), frame(9, headersEnd, 1, fields(...request.slice(2)))],
    '200',
  ],
  [
    '9113 §6.10',
    'several CONTINUATION frames',
    [
      frame(1, end, 1, fields(...request.slice(0, 1))),
      ...request.slice(1, 3).map((one) => frame(9, 0, 1, fields(one))),
      frame(9, headersEnd, 1, fields(...request.slice(3))),
    ],
    '200',
  ],
  ['9113 §6.10', 'CONTINUATION after END_HEADERS', [get(), frame(9, headersEnd, 1, fields(...request))], 'GOAWAY 1'],
  ['9113 §6.10', 'CONTINUATION after DATA', [open(), frame(0, 0, 1, zero), frame(9, headersEnd, 1, zero)], 'GOAWAY 1'],
  ['9113 §6.10', 'CONTINUATION on stream 0', [frame(9, headersEnd, 0, zero)], 'GOAWAY 1'],
  [
    '9113 §8.1',
    'a second HEADERS without END_STREAM',
    [post(1, '9'), frame(1, headersEnd, 1, fields(['x-t', '1']))],
    ['RST 1', 'RST 0'],
  ],
  ['9113 §8.1.1', 'content-length above DATA', [post(1, '9'), frame(0, end, 1, zero)], ['RST 1', 'RST 0']],
  ['9113 §8.1.1', 'content-length below DATA', [post(1, '1'), frame(0, end, 1, zero)], ['RST 1', 'RST 0']],
  ['9113 §8.1.1', 'content-length without DATA', [get(1, [['content-length', '5']])], 'RST 1'],
  [
    '9113 §8.1.1',
    'two content-lengths',
    [
      get(1, [
        ['content-length', '0'],
        ['content-length', '1'],
      ]),
    ],
    'RST 1',
  ],
  ['9113 §8.2', 'a name in capitals', [get(1, [['X-A', '1']])], 'RST 1'],
  ['9113 §8.2.1', 'a name with a space', [get(1, [['x a', '1']])], 'RST 1'],
  ['9113 §8.2.1', 'a name with a colon', [get(1, [['x:a', '1']])], 'RST 1'],
  ['9113 §8.2.1', 'an empty name', [get(1, [['', '1']])], 'RST 1'],
  ['9113 §8.2.1', 'a name with a control character', [get(1, [['x\u0001', '1']])], 'RST 1'],
  ['9113 §8.2.1', 'a value with NUL', [get(1, [['x-a', 'a\0b']])], 'RST 1'],
  ['9113 §8.2.1', 'a value with LF', [get(1, [['x-a', 'a\nb: c']])], 'RST 1'],
  ['9113 §8.2.1', 'a value with CR', [get(1, [['x-a', 'a\rb']])], 'RST 1'],
  ['9113 §8.2.1', 'a value that begins with a space', [get(1, [['x-a', ' a']])], 'RST 1'],
  ['9113 §8.2.1', 'a value that ends with a tab', [get(1, [['x-a', 'a\t']])], 'RST 1'],
  ...(['connection', 'keep-alive', 'proxy-connection', 'transfer-encoding', 'upgrade'] as const).map(
    (name) =>
      [
        '9113 §8.2.2',
        `the field ${name}`,
        [get(1, [[name, name === 'transfer-encoding' ? 'chunked' : 'x']])],
        'RST 1',
      ] as const,
  ),
  ['9113 §8.2.2', 'te with something else than trailers', [get(1, [['te', 'gzip']])], 'RST 1'],
  ['9113 §8.2.2', 'te: trailers', [get(1, [['te', 'trailers']])], '200'],
  ['9113 §8.3', 'an unknown pseudo-header', [get(1, [[':x', '1']])], 'RST 1'],
  ['9113 §8.3', 'a response pseudo-header', [get(1, [[':status', '200']])], 'RST 1'],
  ['9113 §8.3', 'a pseudo-header behind a field', [frame(1, both, 1, fields(['x-a', '1'], ...request))], 'RST 1'],
  [
    '9113 §8.3',
    'a pseudo-header in trailers',
    [open(), frame(1, both, 1, fields([':method', 'GET']))],
    ['RST 1', 'RST 0'],
  ],
  ['9113 §8.3.1', 'no :method', [without(':method')], 'RST 1'],
  ['9113 §8.3.1', 'no :scheme', [without(':scheme')], 'RST 1'],
  ['9113 §8.3.1', 'no :path', [without(':path')], 'RST 1'],
  ['9113 §8.3.1', 'an empty :path', [frame(1, both, 1, fields(...request.slice(0, 3), [':path', '']))], 'RST 1'],
  ...request.map(
    ([name, value]) =>
      ['9113 §8.3.1', `${name} twice`, [frame(1, both, 1, fields(...request, [name, value]))], 'RST 1'] as const,
  ),
  [
    '9113 §8.3.1',
    'a path that begins with nothing',
    [frame(1, both, 1, fields(...request.slice(0, 3), [':path', 'x']))],
    '400',
  ],
  [
    '9113 §8.3.1',
    'a path with a fragment',
    [frame(1, both, 1, fields(...request.slice(0, 3), [':path', '/a#b']))],
    '400',
  ],
  [
    '9113 §8.3.1',
    'a scheme in mixed case',
    [frame(1, both, 1, fields(request[0], [':scheme', 'HtTp'], ...request.slice(2)))],
    '200',
  ],
  [
    '9113 §8.3.1',
    'another scheme',
    [frame(1, both, 1, fields(request[0], [':scheme', 'ftp'], ...request.slice(2)))],
    '400',
  ],
  [
    '9113 §8.3.1',
    'host in place of :authority',
    [frame(1, both, 1, fields(...request.filter(([name]) => name !== ':authority'), ['host', 'shop']))],
    '200',
  ],
  ['9113 §8.5', 'CONNECT without :authority', [frame(1, headersEnd, 1, fields([':method', 'CONNECT']))], 'RST 1'],
  [
    '9113 §8.5',
    'CONNECT with :path',
    [frame(1, headersEnd, 1, fields([':method', 'CONNECT'], [':authority', 'a:1'], [':path', '/']))],
    'RST 1',
  ],
  ['8441 §4', ':protocol without CONNECT', [get(1, [[':protocol', 'websocket']])], 'RST 1'],
  ['7541 §2.3.3', 'an index beyond both tables', [frame(1, both, 1, Buffer.from([0xff, 0x40]))], 'GOAWAY 9'],
  ['7541 §6.1', 'index 0', [frame(1, both, 1, Buffer.from([0x80]))], 'GOAWAY 9'],
  [
    '7541 §4.2',
    'a table size change behind a field',
    [frame(1, both, 1, Buffer.concat([fields(...request), Buffer.from([0x20])]))],
    'GOAWAY 9',
  ],
  [
    '7541 §4.2',
    'a table size change in front',
    [frame(1, both, 1, Buffer.concat([Buffer.from([0x20]), fields(...request)]))],
    '200',
  ],
  [
    '7541 §6.3',
    'a table larger than offered',
    [frame(1, both, 1, Buffer.concat([Buffer.from([0x3f, 0xff, 0xff, 0x7f]), fields(...request)]))],
    'GOAWAY 9',
  ],
  [
    '7541 §5.2',
    'Huffman padding of more than 7 bits',
    [
      frame(
        1,
        both,
        1,
        Buffer.concat([
          fields(...request),
          Buffer.from([0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x84, 0xff, 0x84, 0x49, 0x50, 0x9f, 0xff]),
        ]),
      ),
    ],
    'GOAWAY 9',
  ],
  [
    '7541 §5.2',
    'Huffman padding of zeros',
    [
      frame(
        1,
        both,
        1,
        Buffer.concat([
          fields(...request),
          Buffer.from([0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x87, 0xff, 0x83, 0x49, 0x50, 0x90]),
        ]),
      ),
    ],
    'GOAWAY 9',
  ],
  [
    '7541 §5.2',
    'a Huffman string with EOS',
    [
      frame(
        1,
        both,
        1,
        Buffer.concat([
          fields(...request),
          Buffer.from([0x00, 0x85, 0xf2, 0xb2, 0x4a, 0x87, 0xff, 0x84, 0xff, 0xff, 0xff, 0xff]),
        ]),
      ),
    ],
    'GOAWAY 9',
  ],
  [
    '7541 §5.1',
    'an integer without end',
    [frame(1, both, 1, Buffer.from([0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]))],
    'GOAWAY 9',
  ],
  ['7541 §5.2', 'a string that is cut off', [frame(1, both, 1, Buffer.from([0x00, 0x0a, 0x61]))], 'GOAWAY 9'],
];

/** A peer of a proxy that answers everything but `/wait`, whose host never does. */
async function connected(t: ExecutionContext, manager: Partial<HttpManager> = {}) {
  const silent = await rawOrigin(t, () => {});
  const proxy = await TestProxy.http(
    t,
    [routeOf('/wait', forwardOf('silent')), ...routes],
    [clusterOf('silent', [endpointOf(silent.port)])],
    manager,
  );
  const peer = await Http2Peer.to(proxy.runtime.portOf('listener'));
  t.teardown(() => peer.stop());
  return { peer, proxy };
}

for (const [section, name, bytes, outcome] of cases) {
  test(`RFC ${section}: ${name}`, async (t) => {
    const { peer, proxy } = await connected(t);
    peer.greet().send(...bytes);
    if (outcome === '200' || outcome === '400') {
      const head = await peer.next(1);
      t.is(head?.payload[0], outcome === '200' ? 0x88 : 0x8c);
    } else t.true([outcome].flat().includes(await peer.ending()), await peer.ending());
    // Whatever this connection did, the next one is served.
    const other = await Http2Peer.to(proxy.runtime.portOf('listener'));
    t.teardown(() => other.stop());
    t.is((await other.greet().send(get()).next(1))?.payload[0], 0x88);
  });
}

test('RFC 9113 §3.4: what is no preface is no connection', async (t) => {
  const { peer } = await connected(t, { codec: 'http2' });
  t.is(await peer.send(Buffer.from('PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n'), frame(4, 0, 0)).ending(), 'GOAWAY 1');
});

test('RFC 9113 §3.4: another frame than SETTINGS behind the preface', async (t) => {
  const { peer } = await connected(t);
  t.is(await peer.send(preface, get()).ending(), 'GOAWAY 1');
});

test('RFC 9113 §5.1.2: the limit of streams is told', async (t) => {
  const { peer } = await connected(t);
  const told = (await peer.greet().next(4))!.payload;
  const limit = Array.from({ length: told.length / 6 }, (_, i) => [
    told.readUInt16BE(i * 6),
    told.readUInt32BE(i * 6 + 2),
  ]).find(([id]) => id === 3)?.[1];
  t.is(limit, 1024);
});

test('RFC 9113 §5.1.2: streams beyond the limit are refused, and may come later', async (t) => {
  const { peer } = await connected(t, { http2: http2LimitsOf({ maxStreams: 2 }) });
  t.is(await peer.greet().send(open(1), open(3), get(5)).ending(5), 'RST 7');
  peer.send(frame(3, 0, 1, uint32(8)), get(7));
  t.is((await peer.next(1, 7))?.payload[0], 0x88);
});

test('RFC 9113 §5.2: no more DATA than the windows allow, and the rest when they open', async (t) => {
  const { peer } = await connected(t);
  peer.greet(settings([4, 1])).send(get());
  const size = () => peer.frames.filter(({ type }) => type === 0).reduce((sum, { payload }) => sum + payload.length, 0);
  await peer.until(() => size() === 1);
  peer.send(frame(6, 0, 0, zero));
  await peer.next(6);
  t.is(size(), 1);
  peer.send(frame(8, 0, 1, uint32(2)));
  await peer.until(() => size() === 3);
  peer.send(frame(4, 0, 0, settings([4, 100])));
  await peer.until(() => size() === 5);
  t.is(Buffer.concat(peer.frames.filter(({ type }) => type === 0).map(({ payload }) => payload)).toString(), 'hello');
  t.is(peer.frames.filter(({ type }) => type === 0).at(-1)!.flags & 1, 1);
});

test('RFC 9113 §6.7: PING is answered with its bytes', async (t) => {
  const { peer } = await connected(t);
  const pong = await peer
    .greet()
    .send(frame(6, 0, 0, Buffer.from('lateen!!')))
    .next(6);
  t.is(pong?.flags, 1);
  t.is(pong?.payload.toString(), 'lateen!!');
});

test('RFC 9113 §8.2.3: crumbs of a cookie are one field again', async (t) => {
  const proxy = await TestProxy.http(
    t,
    [
      routeOf('/', null, {
        match: {
          path: { kind: 'prefix', value: '/' },
          caseSensitive: true,
          headers: [
            {
              name: 'cookie',
              kind: 'string',
              match: { test: (value: string) => value === 'a=1; b=2; c=3', text: '' },
              range: null,
              invert: false,
              treatMissingAsEmpty: false,
            },
          ],
          query: [],
          fractionMillionths: 1_000_000,
          grpcOnly: false,
        } as never,
        direct: { status: 200, body: Buffer.from('hello') },
      }),
    ],
    [],
  );
  const peer = await Http2Peer.to(proxy.runtime.portOf('listener'));
  t.teardown(() => peer.stop());
  const head = await peer
    .greet()
    .send(
      get(1, [
        ['cookie', 'a=1'],
        ['cookie', 'b=2'],
        ['x-a', '1'],
        ['cookie', 'c=3'],
      ]),
    )
    .next(1);
  t.is(head?.payload[0], 0x88);
});

/** Floods: each ends the connection with ENHANCE_YOUR_CALM (11), and the caller beside it is served. */
const floods: ReadonlyArray<readonly [name: string, bytes: readonly Buffer[]]> = [
  [
    'rapid reset',
    Array.from({ length: 600 }, (_, i) => Buffer.concat([open(i * 2 + 1), frame(3, 0, i * 2 + 1, uint32(8))])),
  ],
  [
    'CONTINUATION',
    [frame(1, end, 1, fields(...request)), ...Array.from({ length: 200 }, () => frame(9, 0, 1, field('x', 'y')))],
  ],
  ['empty CONTINUATION', [frame(1, end, 1, fields(...request)), ...Array.from({ length: 200 }, () => frame(9, 0, 1))]],
  ['empty DATA', [open(), ...Array.from({ length: 20 }, () => frame(0, 0, 1))]],
  ['PRIORITY', Array.from({ length: 300 }, () => frame(2, 0, 1, Buffer.from([0, 0, 0, 0, 1])))],
  ['WINDOW_UPDATE', Array.from({ length: 100 }, () => frame(8, 0, 0, uint32(1)))],
  ['unknown frames', [Buffer.concat(Array.from({ length: 10_001 }, () => frame(0xfe, 0, 0)))]],
];

for (const [name, bytes] of floods) {
  test(`a flood of ${name} ends the connection`, async (t) => {
    const { peer } = await connected(t);
    await peer
      .greet()
      .send(Buffer.concat(bytes))
      .until(() => peer.frames.some(({ type }) => type === 7));
    t.is(peer.frames.find(({ type }) => type === 7)?.payload.readUInt32BE(4), 11);
  });
}

test('a flood of PINGs whose answers are not read ends the connection', async (t) => {
  const { peer, proxy } = await connected(t);
  peer.greet();
  await peer.next(4);
  peer.socket.pause();
  const many = Buffer.concat(Array.from({ length: 20_000 }, () => frame(6, 0, 0, zero)));
  for (let i = 0; i < 20; i++) peer.socket.write(many);
  while (proxy.runtime.stats.active > 0) await new Promise((resolve) => setImmediate(resolve));
  t.is(proxy.runtime.stats.accepted, 1);
});

test('a bomb of table references is counted by what it decodes to', async (t) => {
  const { peer, proxy } = await connected(t);
  const long = Buffer.concat([
    Buffer.from([0x40]),
    Buffer.from([1]),
    Buffer.from('x'),
    Buffer.from([0x7f, 0x81, 0x1e]),
    Buffer.alloc(3968, 97),
  ]);
  const bomb = Buffer.concat([fields(...request), long, Buffer.alloc(8000, 0xbe)]);
  t.is(
    await peer
      .greet()
      .send(frame(1, both, 1, bomb))
      .ending(),
    'RST 2',
  );
  await proxy.witness.until(({ finished }) => finished.length === 1);
  t.like(proxy.witness.finished[0], { flags: 'DPE', details: 'http2.too_many_headers' });
});
