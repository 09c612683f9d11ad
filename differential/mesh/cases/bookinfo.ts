/**
 * Each of Istio's own files for Bookinfo, as it is, from a folder of them beside the checkout (or `LATEEN_REFERENCE`); without the folder there
 * are no such cases.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ask, type MeshCase, type Request } from '../case.ts';

const folder = join(
  process.env.LATEEN_REFERENCE ?? join(import.meta.dirname, '../../../../shared/reference'),
  'istio/bookinfo/networking',
);

const jason = { headers: { 'end-user': 'jason' } };

/** What is applied before a file, and what becomes of requests then. */
const files: ReadonlyArray<
  readonly [file: string, before: readonly string[], more: Partial<MeshCase>, requests: readonly Request[]]
> = [
  [
    'bookinfo-gateway',
    [],
    { from: 'gateway', port: 8080 },
    [
      ask('GET /productpage', 'bookinfo.example.com', 'productpage-v1'),
      ask('GET /static/x.css', '10.0.0.1', 'productpage-v1'),
      ask('GET /api/v1/products/0', 'bookinfo.example.com', 'productpage-v1'),
      ask('GET /productpage/more', 'bookinfo.example.com', null, { status: 404 }),
    ],
  ],
  [
    'certmanager-gateway',
    [],
    { from: 'gateway', port: 8080, resources: resolver() },
    [
      ask('GET /.well-known/acme-challenge/token', 'a.example.com', '10.3.0.1:8089'),
      ask('GET /', 'a.example.com', null, { status: 404 }),
    ],
  ],
  [
    'destination-rule-all',
    ['virtual-service-all-v1'],
    {},
    ['productpage', 'reviews', 'ratings', 'details'].map((name) => ask('GET /', name, `${name}-v1`)),
  ],
  [
    'destination-rule-all-mtls',
    ['virtual-service-all-v1'],
    {},
    ['productpage', 'reviews', 'ratings', 'details'].map((name) => ask('GET /', name, `${name}-v1`)),
  ],
  ['destination-rule-reviews', ['virtual-service-reviews-v3'], {}, [ask('GET /', 'reviews', 'reviews-v3')]],
  [
    'egress-rule-google-apis',
    [],
    { port: 80 },
    [ask('GET /books/v1', 'www.googleapis.com', 'www.googleapis.com:443', { seen: { host: 'www.googleapis.com' } })],
  ],
  ['fault-injection-details-v1', [], {}, [ask('GET /', 'details', null, { status: 555, body: 'fault filter abort' })]],
  [
    'virtual-service-all-v1',
    ['destination-rule-all'],
    {},
    [
      ask('GET /', 'reviews', 'reviews-v1'),
      ask('GET /', 'ratings', 'ratings-v1'),
      ask('GET /', 'details', 'details-v1'),
    ],
  ],
  ['virtual-service-details-v2', ['destination-rule-all'], {}, [ask('GET /', 'details', 'details-v2')]],
  [
    'virtual-service-ratings-db',
    ['destination-rule-all'],
    {},
    [ask('GET /', 'ratings', 'ratings-v2'), ask('GET /', 'reviews', 'reviews-v3')],
  ],
  ['virtual-service-ratings-mysql', ['destination-rule-all'], {}, [ask('GET /', 'ratings', 'ratings-v2-mysql')]],
  ['virtual-service-ratings-mysql-vm', ['destination-rule-all'], {}, [ask('GET /', 'ratings', 'ratings-v2-mysql-vm')]],
  [
    'virtual-service-ratings-test-abort',
    ['destination-rule-all'],
    {},
    [ask('GET /', 'ratings', null, { ...jason, status: 500 }), ask('GET /', 'ratings', 'ratings-v1')],
  ],
  [
    'virtual-service-ratings-test-delay',
    ['destination-rule-all'],
    {},
    [ask('GET /', 'ratings', 'ratings-v1', { ...jason, atLeastMs: 6_990 }), ask('GET /', 'ratings', 'ratings-v1')],
  ],
  ...(
    [
      ['50-v3', { 'reviews-v1': 0.5, 'reviews-v3': 0.5 }],
      ['80-20', { 'reviews-v1': 0.8, 'reviews-v2': 0.2 }],
      ['90-10', { 'reviews-v1': 0.9, 'reviews-v2': 0.1 }],
      ['v2-v3', { 'reviews-v2': 0.5, 'reviews-v3': 0.5 }],
    ] as const
  ).map(
    ([name, shares]) =>
      [
        `virtual-service-reviews-${name}`,
        ['destination-rule-all'],
        {},
        [ask('GET /', 'reviews', null, { shares })],
      ] as const,
  ),
  [
    'virtual-service-reviews-jason-v2-v3',
    ['destination-rule-all'],
    {},
    [ask('GET /', 'reviews', 'reviews-v2', jason), ask('GET /', 'reviews', 'reviews-v3')],
  ],
  [
    'virtual-service-reviews-test-v2',
    ['destination-rule-all'],
    {},
    [ask('GET /', 'reviews', 'reviews-v2', jason), ask('GET /', 'reviews', 'reviews-v1')],
  ],
  ['virtual-service-reviews-v3', ['destination-rule-all'], {}, [ask('GET /', 'reviews', 'reviews-v3')]],
];

/** What cert-manager puts there while it proves a domain. */
function resolver(): string {
  return `---
apiVersion: v1
kind: Service
metadata: {name: cert-manager-resolver, namespace: istio-system}
spec: {clusterIP: 10.96.0.200, ports: [{name: http, port: 8089}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: resolver, namespace: istio-system, labels: {kubernetes.io/service-name: cert-manager-resolver}}
addressType: IPv4
ports: [{name: http, port: 8089}]
endpoints: [{addresses: [10.3.0.1], conditions: {ready: true}}]
`;
}

const textOf = (name: string): string => `---\n${readFileSync(join(folder, `${name}.yaml`), 'utf8')}\n`;

export const bookinfo: readonly MeshCase[] = existsSync(folder)
  ? files.map(([file, before, more, requests]) => ({
      name: `Istio's ${file}.yaml`,
      source: 'examples/bookinfo/',
      namespace: 'default',
      port: 9080,
      ...more,
      resources: [...before, file].map(textOf).join('') + (more.resources ?? ''),
      requests,
    }))
  : [];
