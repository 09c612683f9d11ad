import test from 'ava';
import type { DestinationRule, LocalityLbSetting } from '../../api/istio/destination-rule.ts';
import { type MeshObjects, noObjects } from '../model/objects.ts';
import { buildSnapshot } from '../model/snapshot.ts';
import { type ProxyNode, scopeOf } from './scope.ts';
import { translate } from './translate.ts';

/** Three endpoints and where they are; the caller runs on node n1 of eu/west. */
const entries = { near: 'eu/west', next: 'eu/north', far: 'us/east' };

function world(setting: LocalityLbSetting | undefined, mesh: LocalityLbSetting | undefined, detects: boolean) {
  const metadata = (name: string) => ({ name, namespace: 'one' });
  const rule = {
    ...{ apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata: metadata('x') },
    spec: {
      host: 'x.internal',
      trafficPolicy: {
        ...(detects && { outlierDetection: { consecutive5xxErrors: 3 } }),
        ...(setting && { loadBalancer: { localityLbSetting: setting } }),
      },
    },
  } as DestinationRule;
  const entry = {
    ...{ apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: metadata('x') },
    spec: {
      hosts: ['x.internal'],
      resolution: 'STATIC',
      ports: [{ number: 80, name: 'http', protocol: 'HTTP' }],
      endpoints: Object.entries(entries).map(([name, locality], i) => ({
        address: `192.168.0.${i}`,
        locality,
        labels: { name, 'kubernetes.io/hostname': name === 'next' ? 'n1' : 'n2' },
      })),
    },
  };
  const topology = { 'topology.kubernetes.io/region': 'eu', 'topology.kubernetes.io/zone': 'west' };
  const pod = (name: string, nodeName: string, hash: string) => ({
    metadata: { ...metadata(name), labels: { app: 'client', 'pod-template-hash': hash } },
    spec: { nodeName, containers: [] },
    status: { phase: 'Running' },
  });
  return buildSnapshot(
    {
      ...noObjects,
      meshConfig: mesh && { localityLbSetting: mesh },
      destinationRules: new Map([['one/x', rule]]),
      serviceEntries: new Map([['one/x', entry]]),
      nodes: new Map(['n1', 'n2'].map((name) => [name, { metadata: { name, labels: topology } }])),
      pods: new Map([
        ['one/client', pod('client', 'n1', 'a')],
        ['one/other', pod('other', 'n2', 'b')],
      ]),
    } as unknown as MeshObjects,
    null,
  );
}

const caller = (name: string): ProxyNode => ({
  id: `sidecar~10.0.0.1~${name}.one~one.svc.cluster.local`,
  metadata: { NAMESPACE: 'one' },
});

/** `0 near(1) next(1), 1 far(1)`: by priority the endpoints with their localities' weights. */
function order(setting?: LocalityLbSetting, mesh?: LocalityLbSetting, detects = true, from = 'client'): string {
  const snapshot = world(setting, mesh, detects);
  const { endpoints } = translate(snapshot, scopeOf(caller(from), snapshot));
  const groups = endpoints.flatMap((assigned) => assigned.endpoints);
  const names = Object.keys(entries);
  const levels = [...new Set(groups.map(({ priority }) => priority))].sort();
  return levels
    .map((level) => {
      const told = groups
        .filter(({ priority }) => priority === level)
        .flatMap(({ lbEndpoints, loadBalancingWeight }) =>
          lbEndpoints.map(({ hostIdentifier: { value } }) => {
            const { address } = (value as { address: { address: { value: { address: string } } } }).address.address
              .value;
            return `${names[Number(address.at(-1))]}(${loadBalancingWeight})`;
          }),
        );
      return `${level} ${told.sort().join(' ')}`;
    })
    .join(', ');
}

const alike = '0 far(1) near(1) next(1)';
const nearness = '0 near(1), 1 next(1), 2 far(1)';

test('nearness orders where endpoints are found to be ill, and nowhere else', (t) => {
  t.is(order(), nearness);
  t.is(order(undefined, undefined, false), alike);
  t.is(order({ failover: [{ from: 'eu', to: 'us' }] }, undefined, false), alike);
  t.is(order({ failoverPriority: ['name=far'] }, undefined, false), alike);
});

test("a rule's setting stands in the place of the whole of the mesh's", (t) => {
  const byName = { failoverPriority: ['name=far'] };
  t.is(order(undefined, byName), '0 far(1), 1 near(1) next(1)');
  t.is(order({}, byName), nearness);
  t.is(order({ enabled: false }, byName), alike);
  t.is(order(undefined, { enabled: false }), alike);
  t.is(order({ enabled: true }, { enabled: false }), nearness);
  t.is(order(undefined, { distribute: [{ from: 'eu/*', to: { 'us/*': 100 } }] }, false), '0 far(10000)');
});

test('a region fails over to the one that is named, and what is left out comes last', (t) => {
  t.is(order({ failover: [{ from: 'eu', to: 'us' }] }), nearness);
  t.is(order({ failover: [{ from: 'eu', to: 'asia' }] }), nearness, 'priorities have no gap');
  t.is(order({ failover: [{ from: 'us', to: 'asia' }] }), nearness, "another region's");
});

test('labels of the caller, given values, and both with failover: from the top down', (t) => {
  t.is(order({ failoverPriority: ['topology.kubernetes.io/region'] }), '0 near(1) next(1), 1 far(1)');
  t.is(
    order({ failoverPriority: ['topology.kubernetes.io/region', 'kubernetes.io/hostname'] }),
    '0 next(1), 1 near(1), 2 far(1)',
  );
  t.is(order({ failoverPriority: ['name=far', 'topology.kubernetes.io/zone'] }), '0 far(1), 1 near(1) next(1)');
  t.is(
    order({ failoverPriority: ['name=far'], failover: [{ from: 'eu', to: 'us' }] }),
    '0 far(1), 1 near(1), 2 next(1)',
  );
  t.is(order({ failoverPriority: ['no-one-has-it'] }), alike, 'both lack it');
});

test('distribute that does not speak of the caller leaves all alike', (t) => {
  t.is(order({ distribute: [{ from: 'us/*', to: { 'eu/*': 100 } }] }), alike);
  t.is(order({ distribute: [{ from: 'eu/west/*', to: { 'eu/west/*': 80, 'us/*': 20 } }] }), '0 far(2000) near(8000)');
});

test('proxies share what they are sent, unless a compared label tells them apart', (t) => {
  const keys = (setting?: LocalityLbSetting) => {
    const snapshot = world(setting, undefined, true);
    return ['client', 'other'].map((name) => scopeOf(caller(name), snapshot).key);
  };
  const areOne = ([a, b]: string[]) => a === b;
  t.true(areOne(keys()));
  t.true(areOne(keys({ failoverPriority: ['app', 'kubernetes.io/hostname=n1'] })));
  t.false(areOne(keys({ failoverPriority: ['kubernetes.io/hostname'] })));
  t.false(areOne(keys({ failoverPriority: ['pod-template-hash'] })));
  const byNode = { failoverPriority: ['kubernetes.io/hostname'] };
  t.is(order(byNode), '0 next(1), 1 far(1) near(1)');
  t.is(order(byNode, undefined, true, 'other'), '0 far(1) near(1), 1 next(1)');
  const one = world(byNode, undefined, true);
  const [first, second] = ['client', 'other'].map((name) => translate(one, scopeOf(caller(name), one)).endpoints);
  t.notDeepEqual(first, second, 'of one mesh as well');
});
