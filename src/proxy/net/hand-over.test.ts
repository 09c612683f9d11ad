import test from 'ava';
import { listenerOf, tableOf } from '../testing/tables.ts';
import { handedTo } from './hand-over.ts';

const at = (name: string, host: string, port: number, direction: 'inbound' | 'outbound' = 'outbound') =>
  listenerOf([], { name, bind: null, address: { host, port }, direction });

const virtual = listenerOf([], {
  name: 'virtualOutbound',
  address: { host: '0.0.0.0', port: 15_001 },
  useOriginalDst: true,
  direction: 'outbound',
});
const table = tableOf({
  listeners: [
    virtual,
    at('exact', '10.96.1.2', 443),
    at('any', '0.0.0.0', 9080),
    at('any443', '0.0.0.0', 443),
    at('six', '::', 8080),
    at('other', '0.0.0.0', 15_001),
  ],
});
const socketLocal = { ip: '127.0.0.1', port: 15_001 };
const taker = (ip: string, port: number) => handedTo(table, virtual, { ip, port }, socketLocal).name;

test('an exact address comes before any address, and what nobody takes stays', (t) => {
  t.is(taker('10.96.1.2', 443), 'exact');
  t.is(taker('10.96.1.3', 443), 'any443');
  t.is(taker('10.96.1.2', 9080), 'any');
  t.is(taker('10.0.0.1', 8080), 'six');
  t.is(taker('fd00::1', 8080), 'six');
  t.is(taker('fd00::1', 9080), 'virtualOutbound');
  t.is(taker('10.0.0.1', 5), 'virtualOutbound');
});

test('a connection that was not redirected is not handed over', (t) => {
  t.is(handedTo(table, virtual, socketLocal, socketLocal).name, 'virtualOutbound');
});
