import { isIPv4, isIPv6 } from 'node:net';
import test from 'ava';
import fc from 'fast-check';
import type { ProxyProtocol, Table } from '../config/table.ts';
import { Caller, Origin } from '../testing/peers.ts';
import { get, TestProxy } from '../testing/proxy.ts';
import {
  chainOf,
  clusterOf,
  endpointOf,
  forwardOf,
  hostOf,
  listenerOf,
  managerOf,
  routeOf,
  routesOf,
  tableOf,
  tcpOf,
} from '../testing/tables.ts';
import { readProxyHeader, writeProxyHeader } from './proxy-protocol.ts';

const line = (text: string) => Buffer.from(`PROXY ${text}\r\n`, 'latin1');

function binary(command: number, family: number, addresses: Buffer): Buffer {
  const head = Buffer.from('\r\n\r\n\0\r\nQUIT\n\0\0\0\0', 'latin1');
  head[12] = command;
  head[13] = family;
  head.writeUInt16BE(addresses.length, 14);
  return Buffer.concat([head, addresses]);
}

const addresses4 = Buffer.from([192, 0, 2, 1, 198, 51, 100, 7, 0x0f, 0xa0, 0x01, 0xbb]);

test('both versions tell both ends', (t) => {
  for (const bytes of [line('TCP4 192.0.2.1 198.51.100.7 4000 443'), binary(0x21, 0x11, addresses4)]) {
    const header = readProxyHeader(Buffer.concat([bytes, Buffer.from('GET /')]), bytes.length + 5);
    t.like(header, {
      kind: 'header',
      length: bytes.length,
      source: { ip: '192.0.2.1', port: 4000 },
      destination: { ip: '198.51.100.7', port: 443 },
    });
  }
  const addresses6 = Buffer.alloc(36);
  addresses6[15] = 1;
  addresses6.set([0x20, 0x01, 0x0d, 0xb8], 16);
  const header = readProxyHeader(binary(0x21, 0x21, addresses6), 52);
  t.like(header, { source: { ip: '::1', port: 0 }, destination: { ip: '2001:db8::', port: 0 } });
});

test('what is written is read again, by either version', (t) => {
  const end = (ip: fc.Arbitrary<string>) => fc.record({ ip, port: fc.integer({ min: 0, max: 65_535 }) });
  const ends = fc.oneof(
    fc.tuple(end(fc.ipV4()), end(fc.ipV4())),
    fc.tuple(end(fc.ipV6()), end(fc.ipV6())),
    fc.tuple(end(fc.ipV4()), end(fc.ipV6())),
  );
  const canonical = (ip: string, is4: boolean) =>
    is4 ? ip : new URL(`http://[${isIPv6(ip) ? ip : `::ffff:${ip}`}]`).hostname.slice(1, -1);
  fc.assert(
    fc.property(ends, fc.constantFrom<1 | 2>(1, 2), ([source, destination], version) => {
      const bytes = writeProxyHeader(version, source, destination);
      const header = readProxyHeader(bytes, bytes.length);
      if (header.kind !== 'header') throw new Error(header.kind);
      t.is(header.length, bytes.length);
      const is4 = isIPv4(source.ip) && isIPv4(destination.ip);
      for (const [given, read] of [
        [source, header.source],
        [destination, header.destination],
      ] as const) {
        t.is(read?.port, given.port);
        t.is(canonical(read?.ip ?? '', is4), canonical(given.ip, is4));
      }
    }),
  );
  for (const version of [1, 2] as const) {
    const bytes = writeProxyHeader(version, null, null);
    t.like(readProxyHeader(bytes, bytes.length), { kind: 'header', version, source: null });
  }
});

test('UNKNOWN and LOCAL leave the addresses of the socket', (t) => {
  for (const bytes of [line('UNKNOWN ffff:: ignored'), binary(0x20, 0, Buffer.alloc(0))])
    t.like(readProxyHeader(bytes, bytes.length), { kind: 'header', length: bytes.length, source: null });
});

test('what is cut off, out of range or of an unknown kind is malformed', (t) => {
  const cases = [
    line('TCP4 192.0.2.1 198.51.100.7 4000'),
    line('TCP4 192.0.2.1 198.51.100.7 4000 65536'),
    line('TCP4 192.0.2.1 198.51.100.7 4000 +1'),
    line('TCP4 ::1 ::1 1 1'),
    line('TCP6 192.0.2.1 ::1 1 1'),
    line('UDP4 192.0.2.1 198.51.100.7 4000 443'),
    line(`TCP4 ${'1'.repeat(110)}`),
    binary(0x11, 0x11, addresses4),
    binary(0x22, 0x11, addresses4),
    binary(0x21, 0x12, addresses4),
    binary(0x21, 0x31, Buffer.alloc(216)),
    binary(0x21, 0x11, addresses4.subarray(4)),
    binary(0x21, 0x11, Buffer.concat([addresses4, Buffer.from([1, 0, 9, 0])])),
    binary(0x21, 0x11, Buffer.alloc(65_535)),
  ];
  for (const [i, bytes] of cases.entries()) t.is(readProxyHeader(bytes, bytes.length).kind, 'malformed', `case ${i}`);
});

test('any cut of a header is undecided, and no bytes make the reader throw', (t) => {
  const whole = fc.constantFrom(line('TCP6 ::1 fd00::1 1 65535'), binary(0x21, 0x11, addresses4));
  fc.assert(
    fc.property(whole, fc.nat(), (bytes, cut) => readProxyHeader(bytes, cut % bytes.length).kind === 'undecided'),
  );
  const tail = fc.uint8Array({ maxLength: 80 });
  fc.assert(
    fc.property(fc.constantFrom('', 'PROXY ', '\r\n\r\n\0\r\nQUIT\n'), tail, (start, rest) => {
      const bytes = Buffer.concat([Buffer.from(start, 'latin1'), rest]);
      const header = readProxyHeader(bytes, bytes.length);
      return header.kind !== 'header' || header.length <= bytes.length;
    }),
  );
  t.pass();
});

const rules: ProxyProtocol = {
  optional: false,
  refusesV1: false,
  refusesV2: false,
  disabledPorts: [],
  yieldsToOriginalDst: false,
};

function relaying(port: number, overrides: Partial<ProxyProtocol> = {}): Table {
  return tableOf({
    listeners: [listenerOf([chainOf({ tcp: tcpOf('app') })], { proxyProtocol: { ...rules, ...overrides } })],
    clusters: [clusterOf('app', [endpointOf(port)])],
  });
}

test('the header is taken off, byte by byte too, and its caller is the one that is told', async (t) => {
  const origin = await new Origin((socket) => socket.pipe(socket)).start();
  t.teardown(() => origin.stop());
  const proxy = await TestProxy.of(t, relaying(origin.port));
  const caller = await proxy.caller(t);
  const text = 'PROXY TCP4 192.0.2.1 198.51.100.7 4000 443\r\nhello';
  for (const byte of text) {
    caller.send(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await caller.until(() => caller.received === 'hello');
  const [{ connection }] = proxy.witness.opened;
  t.deepEqual(connection.remote, { ip: '192.0.2.1', port: 4000 });
  t.deepEqual(connection.local, { ip: '198.51.100.7', port: 443 });
  t.is(connection.socketRemote.ip, '127.0.0.1');
  t.is(proxy.runtime.stats.proxyProtocolFound, 1);
});

test('a host is told of the caller before anything else, for each request anew', async (t) => {
  const heads: string[] = [];
  const origin = await new Origin((socket) => {
    socket.once('data', (bytes: Buffer) => {
      const { length } = readProxyHeader(bytes, bytes.length) as { length: number };
      heads.push(bytes.toString('latin1', 0, length));
      t.regex(bytes.toString('latin1', length), /^GET /);
      socket.on('data', () => t.fail('a second request on a connection of the first'));
      socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok');
    });
  }).start();
  t.teardown(() => origin.stop());
  for (const proxyProtocol of [1, 2] as const) {
    heads.length = 0;
    const proxy = await TestProxy.of(
      t,
      tableOf({
        listeners: [listenerOf([chainOf({ http: managerOf() })])],
        clusters: [clusterOf('app', [endpointOf(origin.port)], { proxyProtocol })],
        routes: [routesOf('routes', hostOf([routeOf('/', forwardOf('app'))]))],
      }),
    );
    const caller = await proxy.caller(t);
    for (let i = 0; i < 2; i++) t.regex(await caller.send(get('/')).responses(), /ok$/);
    t.is(heads.length, 2);
    const { socket } = caller;
    const [source, destination] = [
      { ip: '127.0.0.1', port: socket.localPort! },
      { ip: '127.0.0.1', port: socket.remotePort! },
    ];
    for (const head of heads) t.is(head, writeProxyHeader(proxyProtocol, source, destination).toString('latin1'));
  }
});

test('a connection without a header is refused and counted, unless it may lack one', async (t) => {
  const origin = await new Origin((socket) => socket.pipe(socket)).start();
  t.teardown(() => origin.stop());
  const strict = await TestProxy.of(t, relaying(origin.port));
  for (const junk of ['GET / HTTP/1.1\r\n\r\n', 'PROXY TCP4 no\r\n', '\r\n\r\n\0\r\nQUIT\n\x31\x11\0\0']) {
    const caller = await Caller.to(strict.runtime.portOf('listener'));
    t.is(await caller.send(junk).finished(), '');
  }
  t.is(strict.runtime.stats.proxyProtocolRefused, 3);
  t.is(origin.connections, 0);
  const lenient = await TestProxy.of(t, relaying(origin.port, { optional: true, refusesV1: true }));
  const plain = (await lenient.caller(t)).send('hello');
  await plain.until(() => plain.received === 'hello');
  const old = await Caller.to(lenient.runtime.portOf('listener'));
  t.is(await old.send(line('TCP4 192.0.2.1 198.51.100.7 4000 443')).finished(), '');
});
