import test from 'ava';
import { clusterOf } from '../testing/tables.ts';
import { destinationOf } from './original-destination.ts';

const local = { ip: '10.0.0.1', port: 80 };
const socketLocal = { ip: '127.0.0.1', port: 15001 };
const destination = (
  originalDst: { header: string | null; port: number } | null,
  headers: Readonly<Record<string, string>> = {},
) => destinationOf(clusterOf('a', [], { originalDst }), (name) => headers[name] ?? null, { local, socketLocal });

test('a request goes to where its connection was bound, or to where its header says', (t) => {
  const byHeader = { header: 'x-to', port: 0 };
  t.deepEqual(destination(null, { 'x-to': '10.0.0.2:81' }), local);
  t.deepEqual(destination(byHeader), local);
  t.deepEqual(destination(byHeader, { 'x-to': '10.0.0.2:81' }), { ip: '10.0.0.2', port: 81 });
  t.deepEqual(destination(byHeader, { 'x-to': '[fd00::1]:81' }), { ip: 'fd00::1', port: 81 });
  for (const wrong of ['10.0.0.2', '10.0.0.256:1', 'name:80', '10.0.0.2:0', '10.0.0.2:65536', '[10.0.0.2:1', ''])
    t.deepEqual(destination(byHeader, { 'x-to': wrong }), local, wrong);
});

test('a port of its own takes the place of the given one', (t) => {
  t.deepEqual(destination({ header: null, port: 8080 }), { ip: '10.0.0.1', port: 8080 });
  t.deepEqual(destination({ header: 'x-to', port: 8080 }, { 'x-to': '10.0.0.2:81' }), { ip: '10.0.0.2', port: 8080 });
});

test('a connection that was not redirected is bound for nowhere', (t) => {
  const own = { local: socketLocal, socketLocal };
  t.is(destinationOf(clusterOf('a', []), () => null, own).ip, '');
  const byHeader = clusterOf('a', [], { originalDst: { header: 'x-to', port: 0 } });
  t.is(destinationOf(byHeader, () => null, own).ip, '');
  t.is(destinationOf(byHeader, () => '10.0.0.2:81', own).ip, '10.0.0.2');
});
