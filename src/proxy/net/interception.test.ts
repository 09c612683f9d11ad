import test from 'ava';
import { listenerOf } from '../testing/tables.ts';
import { parseInterception, placesOf } from './interception.ts';

const given = {
  host: '127.9.4.1',
  application: '127.9.4.2',
  inbound: [{ at: { ip: '127.9.4.1', port: 9080 }, destination: { ip: '127.9.4.1', port: 9080 } }],
  outbound: [{ at: { ip: '127.9.4.7', port: 9080 }, destination: { ip: '10.78.0.3', port: 9080 } }],
};

test('intercepting listeners accept at the captured addresses, others at the pod', (t) => {
  const interception = parseInterception(JSON.stringify(given));
  const at = (host: string, port: number) => ({ bind: { host, port }, address: { host, port } });
  const virtualOutbound = { ...at('0.0.0.0', 15_001), useOriginalDst: true, direction: 'outbound' } as const;
  t.deepEqual(placesOf(listenerOf([], virtualOutbound), interception), [
    { host: '127.9.4.7', port: 9080, destination: { ip: '10.78.0.3', port: 9080 } },
  ]);
  t.deepEqual(placesOf(listenerOf([], { ...virtualOutbound, direction: 'inbound' }), interception), [
    { host: '127.9.4.1', port: 9080, destination: { ip: '127.9.4.1', port: 9080 } },
  ]);
  t.deepEqual(placesOf(listenerOf([], at('0.0.0.0', 8080)), interception), [
    { host: '127.9.4.1', port: 8080, destination: null },
  ]);
  t.deepEqual(placesOf(listenerOf([], at('127.0.0.1', 8080)), interception), [
    { host: '127.0.0.1', port: 8080, destination: null },
  ]);
  t.deepEqual(placesOf(listenerOf([], { ...virtualOutbound, bind: null }), interception), []);
  t.deepEqual(placesOf(listenerOf([], virtualOutbound), null), [{ host: '0.0.0.0', port: 15_001, destination: null }]);
});

test('a wrong table is told with the field that is wrong', (t) => {
  const wrong = (change: object) => () => parseInterception(JSON.stringify({ ...given, ...change }));
  t.throws(wrong({ host: 'pod' }), { message: 'host: "pod" is no IP address' });
  t.throws(wrong({ inbound: 3 }), { message: /^inbound: must be a list of at most 10,000/ });
  t.throws(wrong({ outbound: [{ at: { ip: '127.9.4.7', port: 0 } }] }), {
    message: 'outbound[0].at.port: 0 is no port',
  });
  t.throws(wrong({ outbound: [null] }), { message: 'outbound[0].at.port: undefined is no port' });
});
