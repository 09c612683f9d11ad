import test from 'ava';
import fc from 'fast-check';
import { parseAllDocuments } from 'yaml';
import type { HttpMatchRequest } from '../../api/istio/virtual-service.ts';
import type { ApiObject } from '../../kube/object.ts';
import { buildSnapshot, type Snapshot } from '../model/snapshot.ts';
import { MeshStore } from '../watch/store.ts';
import type { Fact } from './condition.ts';
import { servedHosts } from './hostname.ts';
import { byPrecedence, type Entry } from './precedence.ts';

const group = 'gateway.networking.k8s.io';

const base = `
apiVersion: ${group}/v1
kind: GatewayClass
metadata: {name: istio}
spec: {controllerName: istio.io/gateway-controller}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {clusterIP: 10.96.0.1, ports: [{name: http, port: 80}, {name: admin, port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: other}
spec: {clusterIP: 10.96.0.2, ports: [{name: http, port: 80}]}
---
apiVersion: v1
kind: Namespace
metadata: {name: other, labels: {team: blue}}
`;

const gateway = (listeners: string, more = ''): string => `
---
apiVersion: ${group}/v1
kind: Gateway
metadata: {name: edge, namespace: shop, generation: 1}
spec: {gatewayClassName: istio, listeners: [${listeners}]${more}}
`;
const route = (name: string, spec: string, kind = 'HTTPRoute'): string => {
  const [namespace, own] = name.includes('/') ? name.split('/') : ['shop', name];
  return `
---
apiVersion: ${group}/v1
kind: ${kind}
metadata: {name: ${own}, namespace: ${namespace}}
spec: ${spec}
`;
};
const http = '{name: http, port: 80, protocol: HTTP}';
const toCart = 'rules: [{backendRefs: [{name: cart, port: 80}]}]';

function snapshotOf(...texts: string[]): Snapshot {
  const store = new MeshStore({ clusterDomain: 'cluster.local', clusterId: 'Kubernetes' });
  for (const document of parseAllDocuments([base, ...texts].join('')))
    if (document.toJS()) store.put(document.toJS() as ApiObject);
  return buildSnapshot(store.read(), null);
}

const said = (facts: readonly Fact[] | undefined): string[] =>
  (facts ?? []).map(({ type, status, reason }) => `${type}=${status} ${reason}`);

/** Of the one route there is, at each parent. */
const routeSays = (...texts: string[]): string[][] =>
  snapshotOf(...texts).gatewayApi.routes[0]?.parents.map(({ conditions }) => said(conditions)) ?? [];

const listenerSays = (...texts: string[]): string[][] =>
  snapshotOf(...texts).gatewayApi.ownGateways[0].listeners.map(({ conditions }) => said(conditions));

test('a route on a listener is accepted and counted', (t) => {
  const { gatewayApi } = snapshotOf(gateway(http), route('cart', `{parentRefs: [{name: edge}], ${toCart}}`));
  t.deepEqual(said(gatewayApi.routes[0].parents[0].conditions), [
    'Accepted=True Accepted',
    'ResolvedRefs=True ResolvedRefs',
  ]);
  t.deepEqual([...gatewayApi.attachedRoutes], [['shop/edge/http', 1]]);
  t.deepEqual(gatewayApi.classes, ['istio']);
});

for (const [what, spec, reason] of [
  ['a listener that is not there', '{parentRefs: [{name: edge, sectionName: https}], ', 'NoMatchingParent'],
  ['a port that no listener has', '{parentRefs: [{name: edge, port: 81}], ', 'NoMatchingParent'],
  [
    'a hostname that no listener has',
    '{hostnames: [b.org], parentRefs: [{name: edge}], ',
    'NoMatchingListenerHostname',
  ],
  ['a Service that is not there', '{parentRefs: [{group: "", kind: Service, name: nobody}], ', 'NoMatchingParent'],
] as const)
  test(`a route on ${what} says so`, (t) => {
    const says = routeSays(gateway(`${http.slice(0, -1)}, hostname: a.org}`), route('cart', `${spec}${toCart}}`));
    t.is(says[0][0], `Accepted=False ${reason}`);
  });

test('a Gateway of another class is not ours to answer for', (t) => {
  const other = gateway(http).replace('gatewayClassName: istio', 'gatewayClassName: nginx');
  t.deepEqual(routeSays(other, route('cart', `{parentRefs: [{name: edge}], ${toCart}}`)), []);
});

test('who may attach: kinds and namespaces', (t) => {
  const from = (rule: string) =>
    routeSays(
      gateway(`${http.slice(0, -1)}, allowedRoutes: ${rule}}`),
      route('other/cart', `{parentRefs: [{name: edge, namespace: shop}], ${toCart}}`),
    )[0][0];
  t.is(from('{namespaces: {from: Same}}'), 'Accepted=False NotAllowedByListeners');
  t.is(from('{namespaces: {from: All}}'), 'Accepted=True Accepted');
  t.is(from('{namespaces: {from: Selector, selector: {matchLabels: {team: blue}}}}'), 'Accepted=True Accepted');
  t.is(
    from(
      '{namespaces: {from: Selector, selector: {matchExpressions: [{key: team, operator: NotIn, values: [blue]}]}}}',
    ),
    'Accepted=False NotAllowedByListeners',
  );
  t.is(from('{namespaces: {from: All}, kinds: [{kind: GRPCRoute}]}'), 'Accepted=False NotAllowedByListeners');
});

test('what a route refers to: unknown, of an unknown kind, of another namespace', (t) => {
  const refers = (backend: string, ...more: string[]) =>
    routeSays(
      gateway(http),
      route('cart', `{parentRefs: [{name: edge}], rules: [{backendRefs: [${backend}]}]}`),
      ...more,
    )[0][1];
  const grant = `
---
apiVersion: ${group}/v1beta1
kind: ReferenceGrant
metadata: {name: from-shop, namespace: other}
spec: {from: [{group: ${group}, kind: HTTPRoute, namespace: shop}], to: [{group: "", kind: Service, name: cart}]}
`;
  t.is(refers('{name: cart, port: 80}'), 'ResolvedRefs=True ResolvedRefs');
  t.is(refers('{name: cart, port: 81}'), 'ResolvedRefs=False BackendNotFound');
  t.is(refers('{name: nobody, port: 80}'), 'ResolvedRefs=False BackendNotFound');
  t.is(refers('{group: example.com, kind: Thing, name: x}'), 'ResolvedRefs=False InvalidKind');
  t.is(refers('{name: cart, namespace: other, port: 80}'), 'ResolvedRefs=False RefNotPermitted');
  t.is(refers('{name: cart, namespace: other, port: 80}', grant), 'ResolvedRefs=True ResolvedRefs');
  t.is(
    refers('{name: cart, namespace: other, port: 80}', grant.replace('name: cart}', 'name: till}')),
    'ResolvedRefs=False RefNotPermitted',
  );
});

test('callers in the mesh need no grant', (t) => {
  const says = routeSays(
    route(
      'other/cart',
      '{parentRefs: [{group: "", kind: Service, name: cart, namespace: shop}], rules: [{backendRefs: [{name: cart, namespace: shop, port: 80}]}]}',
    ),
  );
  t.deepEqual(says, [['Accepted=True Accepted', 'ResolvedRefs=True ResolvedRefs']]);
});

test('listeners: protocol, kinds, certificates, conflicts', (t) => {
  const well = [
    'Accepted=True Accepted',
    'Programmed=True Programmed',
    'Conflicted=False NoConflicts',
    'ResolvedRefs=True ResolvedRefs',
  ];
  t.deepEqual(listenerSays(gateway(http)), [well]);
  t.is(listenerSays(gateway('{name: x, port: 80, protocol: SMTP}'))[0][0], 'Accepted=False UnsupportedProtocol');
  t.is(
    listenerSays(gateway(`${http.slice(0, -1)}, allowedRoutes: {kinds: [{kind: TCPRoute}]}}`))[0][3],
    'ResolvedRefs=False InvalidRouteKinds',
  );
  const https = '{name: tls, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: cert}]}}';
  t.is(listenerSays(gateway(https))[0][3], 'ResolvedRefs=False InvalidCertificateRef');
  t.is(listenerSays(gateway(https))[0][1], 'Programmed=False Invalid');
  t.is(
    listenerSays(gateway(https.replace('name: cert', 'name: cert, namespace: other')))[0][3],
    'ResolvedRefs=False RefNotPermitted',
  );
  const twice = listenerSays(gateway(`${http}, {name: again, port: 80, protocol: HTTP}`));
  t.deepEqual(
    twice.map(([accepted, , conflicted]) => [accepted, conflicted]),
    [
      ['Accepted=False HostnameConflict', 'Conflicted=True HostnameConflict'],
      ['Accepted=False HostnameConflict', 'Conflicted=True HostnameConflict'],
    ],
  );
  t.is(
    listenerSays(gateway(`${http}, {name: raw, port: 80, protocol: TCP}`))[0][2],
    'Conflicted=True ProtocolConflict',
  );
});

test('a Gateway is accepted as long as one of its listeners is', (t) => {
  const says = (listeners: string) => said(snapshotOf(gateway(listeners)).gatewayApi.ownGateways[0].conditions)[0];
  const smtp = '{name: mail, port: 25, protocol: SMTP}';
  t.is(says(http), 'Accepted=True Accepted');
  t.is(says(`${http}, ${smtp}`), 'Accepted=True ListenersNotValid');
  t.is(says(smtp), 'Accepted=False ListenersNotValid');
});

test('a Gateway has what its Service has: no address, then that of the load balancer', (t) => {
  const service = `
---
apiVersion: v1
kind: Service
metadata: {name: edge-istio, namespace: shop}
spec: {type: LoadBalancer, clusterIP: 10.96.0.3, ports: [{port: 80}]}
`;
  const gatewaySays = (...more: string[]) => {
    const [{ conditions, addresses }] = snapshotOf(gateway(http), ...more).gatewayApi.ownGateways;
    return [said(conditions)[1], ...addresses.map(({ value }) => value)];
  };
  t.deepEqual(gatewaySays(), ['Programmed=False AddressNotAssigned']);
  t.deepEqual(gatewaySays(service), ['Programmed=False AddressNotAssigned']);
  t.deepEqual(gatewaySays(`${service}status: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}\n`), [
    'Programmed=True Programmed',
    '192.0.2.1',
  ]);
  t.deepEqual(gatewaySays(service.replace('type: LoadBalancer, ', '')), [
    'Programmed=True Programmed',
    'edge-istio.shop.svc.cluster.local',
  ]);
});

test('BackendTLSPolicies: the older speaks, one without a CA lets nothing through', (t) => {
  const policy = (name: string, made: string, validation: string) => `
---
apiVersion: ${group}/v1
kind: BackendTLSPolicy
metadata: {name: ${name}, namespace: shop, creationTimestamp: "${made}"}
spec: {targetRefs: [{group: "", kind: Service, name: cart}], validation: {hostname: cart.example.com, ${validation}}}
`;
  const edge = [gateway(http), route('cart', `{parentRefs: [{name: edge}], ${toCart}}`)];
  const two = snapshotOf(
    ...edge,
    policy('b', '2026-02-01T00:00:00Z', 'wellKnownCACertificates: System'),
    policy('a', '2026-01-01T00:00:00Z', 'wellKnownCACertificates: System'),
  ).gatewayApi;
  t.deepEqual(
    two.policies.map(({ policy: { metadata }, conditions, ancestors }) => [
      metadata.name,
      said(conditions)[0],
      ancestors[0].name,
    ]),
    [
      ['a', 'Accepted=True Accepted', 'edge'],
      ['b', 'Accepted=False Conflicted', 'edge'],
    ],
  );
  t.is(two.destinationRules[0].spec.trafficPolicy?.tls?.sni, 'cart.example.com');
  const none = snapshotOf(
    ...edge,
    policy('a', '2026-01-01T00:00:00Z', 'caCertificateRefs: [{group: "", kind: ConfigMap, name: nothing}]'),
  ).gatewayApi;
  t.deepEqual(said(none.policies[0].conditions), [
    'Accepted=False NoValidCACertificate',
    'ResolvedRefs=False InvalidCACertificateRef',
  ]);
  t.is(none.destinationRules.length, 0);
  const [cart] = none.virtualServices.filter(({ spec }) => spec.http?.length);
  t.deepEqual(cart.spec.http?.[0].route?.[0].destination.host, 'invalid-backend-reference.invalid');
});

test('what an edit does not touch keeps its identity', (t) => {
  const store = new MeshStore({ clusterDomain: 'cluster.local', clusterId: 'Kubernetes' });
  const put = (text: string) => {
    for (const document of parseAllDocuments(text)) if (document.toJS()) store.put(document.toJS() as ApiObject);
  };
  put(base + gateway(http));
  put(route('cart', `{hostnames: [cart.example.com], parentRefs: [{name: edge}], ${toCart}}`));
  put(route('till', `{hostnames: [till.example.com], parentRefs: [{name: edge}], ${toCart}}`));
  const before = buildSnapshot(store.read(), null);
  put(route('till', `{hostnames: [till.example.com], parentRefs: [{name: edge}], ${toCart.replace('80', '8080')}}`));
  const after = buildSnapshot(store.read(), before);
  const of = ({ gatewayApi }: Snapshot, host: string) =>
    gatewayApi.virtualServices.find(({ spec }) => spec.hosts?.includes(host));
  t.is(of(after, 'cart.example.com'), of(before, 'cart.example.com'));
  t.not(of(after, 'till.example.com'), of(before, 'till.example.com'));
  t.is(after.gateways, before.gateways);
});

test('precedence is a total order', (t) => {
  const entry: fc.Arbitrary<Entry> = fc
    .record({
      uri: fc.constantFrom({ exact: '/a' }, { prefix: '/' }, { prefix: '/a' }, { prefix: '/a/b' }, { regex: '/.*' }),
      method: fc.constantFrom(undefined, { exact: 'GET' }),
      headers: fc.constantFrom<NonNullable<HttpMatchRequest['headers']>>({}, { a: { exact: 'b' } }),
      name: fc.constantFrom('one', 'two'),
      order: fc.nat(3),
    })
    .map(({ name, order, ...match }) => ({
      route: { apiVersion: '', kind: 'HTTPRoute', metadata: { name, namespace: 'shop' }, spec: {} },
      order,
      match,
      rule: {},
    }));
  fc.assert(
    fc.property(entry, entry, entry, (a, b, c) => {
      t.is(Math.sign(byPrecedence(a, b)), -Math.sign(byPrecedence(b, a)) + 0);
      if (byPrecedence(a, b) <= 0 && byPrecedence(b, c) <= 0) t.true(byPrecedence(a, c) <= 0);
    }),
  );
});

test('hostnames meet in the narrower one', (t) => {
  t.deepEqual(servedHosts(undefined, undefined), ['*']);
  t.deepEqual(servedHosts('*.example.com', undefined), ['*.example.com']);
  t.deepEqual(servedHosts('*.example.com', ['a.example.com', 'example.com', '*.b.example.com']), [
    'a.example.com',
    '*.b.example.com',
  ]);
  t.deepEqual(servedHosts('a.example.com', ['*.example.com']), ['a.example.com']);
});
