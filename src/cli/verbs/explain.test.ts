import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { namespaces, pods, resource, services } from '../../kube/object.ts';
import { ObjectServer } from '../../kube/testing/object-server.ts';
import { lateen } from '../testing/command.ts';

const workload = (name: string, version: string) => `---
apiVersion: apps/v1
kind: Deployment
metadata: {name: ${name}-${version}}
spec:
  template:
    metadata: {labels: {app: ${name}, version: ${version}}}
    spec: {serviceAccountName: ${name}}
`;
const service = (name: string) => `---
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec: {selector: {app: ${name}}, ports: [{name: http, port: 9080}]}
`;
const apps =
  ['page', 'reviews'].map(service).join('') +
  workload('page', 'v1') +
  workload('reviews', 'v1') +
  workload('reviews', 'v2');
const rules = `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews}
spec:
  host: reviews
  subsets:
    - {name: v1, labels: {version: v1}}
    - {name: v2, labels: {version: v2}}
    - {name: v9, labels: {version: v9}}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews}
spec:
  hosts: [reviews]
  http:
    - match: [{headers: {end-user: {exact: jason}}}]
      route: [{destination: {host: reviews, subset: v2}}]
    - match: [{uri: {prefix: /nowhere}}]
      route: [{destination: {host: reviews, subset: v9}}]
    - timeout: 3s
      route: [{destination: {host: reviews, subset: v1}}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: readers}
spec:
  selector: {matchLabels: {app: reviews}}
  rules:
    - from: [{source: {principals: [cluster.local/ns/default/sa/page]}}]
      to: [{operation: {methods: [GET]}}]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: edge}
spec: {selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [shop.example.com]}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: edge}
spec:
  hosts: [shop.example.com]
  gateways: [edge]
  http: [{route: [{destination: {host: reviews}}]}]
`;

async function file(t: { teardown(work: () => Promise<void>): void }, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lateen-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'mesh.yaml');
  await writeFile(path, text);
  return path;
}

const lineOf = (text: string, part: string) => text.slice(0, text.indexOf(part)).split('\n').length;

test('from files: the route and its line, the subset, the endpoint, mutual TLS and the policy at the other side', async (t) => {
  const text = apps + rules;
  const path = await file(t, text);
  const { stdout, code } = await lateen([
    'explain',
    'http://reviews:9080/x',
    '--from',
    'page-v1',
    '-H',
    'End-User: jason',
    '-f',
    path,
  ]);
  t.is(code, 0);
  t.regex(
    stdout,
    /^GET http:\/\/reviews:9080\/x from page-v1\.default: forwarded to outbound\|9080\|v2\|reviews\.default\.svc\.cluster\.local \(/,
  );
  t.true(
    stdout.includes(
      `VirtualService default/reviews spec.http[0]  taken      prefix /  ${path}:${lineOf(text, '- match: [{headers')}`,
    ),
  );
  t.true(stdout.includes(`policy     DestinationRule default/reviews subset v2  ${path}:`));
  t.regex(
    stdout,
    /endpoints {2}reviews-v2 \(10\.255\.0\.\d:9080\)\n {2}TLS {8}mutual TLS of the mesh: both sides have a proxy of the mesh\n/,
  );
  t.regex(stdout, /Into reviews-v2: forwarded to inbound\|9080\|\|\n/);
  t.true(stdout.includes(`AuthorizationPolicy default/readers spec.rules[0]  matches`));
  t.true(stdout.includes(`${path}:${lineOf(text, '- from: [{source')}`));
});

test('what fails says where: no endpoints, a policy, a host that nobody knows', async (t) => {
  const path = await file(t, apps + rules);
  const of = async (...words: string[]) => (await lateen(['explain', ...words, '-f', path])).stdout;
  t.regex(
    await of('http://reviews:9080/nowhere', '--from', 'page-v1'),
    /has no endpoints: 503\n[\s\S]*no workload has the labels of subset v9/,
  );
  const refused = await of('POST', 'http://reviews:9080/', '--from', 'page-v1');
  t.regex(refused, /^POST .*\(timeout 3000 ms, .*; at reviews-v1 answered with 403 by /);
  t.regex(refused, /readers spec\.rules\[0\] +does not match/);
  t.regex(await of('http://reviews:9080/', '--from', 'reviews-v1'), /at reviews-v1 answered with 403/);
  t.regex(await of('http://example.com/', '--from', 'page-v1'), /PassthroughCluster/);
});

test('from outside, through a gateway', async (t) => {
  const path = await file(t, apps + rules);
  const of = async (url: string) =>
    (await lateen(['explain', url, '--gateway', 'istio-system/istio-ingressgateway', '-f', path])).stdout;
  t.regex(await of('http://shop.example.com/'), /VirtualService default\/edge spec\.http\[0\][\s\S]*answered with 403/);
  t.regex(await of('http://other.example.com/'), /answered with 404 by/);
});

test('as JSON, and what is wrong with the question', async (t) => {
  const path = await file(t, apps + rules);
  const { stdout } = await lateen(['explain', 'http://reviews:9080/', '--from', 'page-v1', '-f', path, '-o', 'json']);
  const { asked, decision, clusters } = JSON.parse(stdout);
  t.is(asked.port, 9080);
  t.is(decision.outcome, 'forwarded');
  t.like(clusters[0], {
    name: 'outbound|9080|v1|reviews.default.svc.cluster.local',
    subset: 'v1',
    rule: 'destination-rule default/reviews',
  });
  t.is(clusters[0].inbound[0].mutualTls, true);
  for (const words of [
    ['explain'],
    ['explain', 'http://reviews/'],
    ['explain', 'https://reviews/', '--from', 'page-v1'],
    ['explain', 'http://reviews/', '--from', 'page-v1', '-H', 'nothing'],
  ])
    t.is((await lateen([...words, '-f', path])).code, 64, words.join(' '));
  const { code, stderr } = await lateen(['explain', 'http://reviews/', '--from', 'pge-v1', '-f', path]);
  t.is(code, 1);
  t.regex(stderr, /no workload of namespace default is called "pge-v1"; did you mean "page-v1"\?/);
});

test('a cluster is asked for its resources', async (t) => {
  const api = await ObjectServer.start();
  t.teardown(() => api.stop());
  const client = api.client();
  const at = (name: string) => ({ name, namespace: 'shop' });
  await client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop' } });
  await client.create(services, {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: at('cart'),
    spec: { clusterIP: '10.96.0.1', ports: [{ name: 'http', port: 80 }] },
  });
  await client.create(pods, {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: at('web'),
    spec: { containers: [] },
    status: { podIP: '10.1.0.1' },
  });
  await client.create(resource('networking.istio.io/v1', 'VirtualService', 'virtualservices'), {
    ...{ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: at('cart') },
    ...{ spec: { hosts: ['cart'], http: [{ directResponse: { status: 418 } }] } },
  });
  const { stdout } = await lateen(['explain', 'http://cart/', '--from', 'web.shop'], { cluster: client });
  t.regex(
    stdout,
    /^GET http:\/\/cart\/ from web\.shop: answered with 418 by virtual-service shop\/cart spec\.http\[0\]/,
  );
});
