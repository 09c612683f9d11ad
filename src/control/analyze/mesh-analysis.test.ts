import test from 'ava';
import { noObjects } from '../model/objects.ts';
import type { Analyzed } from './finding.ts';
import { adviseOn, analyzeMesh, JustAdmitted } from './mesh-analysis.ts';

const gateway = (name: string): Analyzed =>
  ({
    apiVersion: 'networking.istio.io/v1',
    kind: 'Gateway',
    metadata: { name, namespace: 'shop' },
    spec: { selector: { istio: 'x' }, servers: [{ port: { number: 80, name: 'a', protocol: 'HTTP' }, hosts: ['a'] }] },
  }) as Analyzed;

const codes = (found: ReadonlyArray<{ code: string }>) => found.map(({ code }) => code).sort();

test('what was admitted a moment ago counts before a watch brings it', (t) => {
  const admitted = new JustAdmitted();
  const ask = (object: Analyzed) => codes(adviseOn(object, noObjects, admitted.list(), 'istio-system'));
  // Nobody runs the gateway either.
  t.deepEqual(ask(gateway('one')), ['IST0101']);
  admitted.add(gateway('one'));
  t.deepEqual(ask(gateway('two')), ['IST0101', 'IST0145']);
  t.deepEqual(ask(gateway('one')), ['IST0101'], 'a resource does not conflict with itself');
  for (let i = 0; i < 500; i++) admitted.add(gateway(`g${i}`));
  t.is(admitted.list().length, 200);
});

test('the whole mesh: kinds that the control plane keeps without their names are named', (t) => {
  const gateways = new Map([['shop/one', gateway('one')]]) as never;
  const pod = { metadata: { name: 'p', namespace: 'istio-system', labels: { istio: 'x' } }, spec: { containers: [] } };
  t.deepEqual(codes(analyzeMesh({ ...noObjects, gateways }, 'istio-system')), ['IST0101']);
  t.deepEqual(
    codes(analyzeMesh({ ...noObjects, gateways, pods: new Map([['istio-system/p', pod]]) }, 'istio-system')),
    [],
  );
});
