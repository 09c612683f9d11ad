/** ServiceEntry, WorkloadEntry, Sidecar and what DestinationRules come from where. */
import { ask, dr, entry, type MeshCase, se, sidecar, toReviews, versions, vs } from '../case.ts';

const rulePage = 'reference/config/networking/destination-rule/';

export const scoping: readonly MeshCase[] = [
  {
    name: 'a host outside by DNS',
    source: 'reference/config/networking/service-entry/',
    resources: se(
      'ext',
      '{hosts: [api.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}',
    ),
    requests: [ask('GET /', 'api.example.com', 'api.example.com'), ask('GET /', 'www.example.com', 'outside')],
  },
  {
    name: 'endpoints of a host outside',
    source: 'reference/config/networking/service-entry/',
    resources: se(
      'ext',
      '{hosts: [api.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: us.api.example.com, ports: {http: 8080}}]}',
    ),
    requests: [ask('GET /', 'api.example.com', 'us.api.example.com', { seen: { host: 'api.example.com' } })],
  },
  {
    name: 'fixed addresses',
    source: 'reference/config/networking/service-entry/',
    resources: se(
      'ext',
      '{hosts: [db.internal], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], endpoints: [{address: 192.168.1.1}]}',
    ),
    requests: [ask('GET /', 'db.internal', '192.168.1.1')],
  },
  {
    name: 'workloads elsewhere',
    source: 'reference/config/networking/workload-entry/',
    resources:
      se(
        'legacy',
        '{hosts: [legacy.internal], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP, targetPort: 8080}], workloadSelector: {labels: {app: legacy}}}',
      ) +
      entry('vm', '{address: 192.168.1.2, labels: {app: legacy}}') +
      entry('stranger', '{address: 192.168.1.3, labels: {app: other}}'),
    requests: [ask('GET /', 'legacy.internal', '192.168.1.2')],
  },
  {
    name: 'a workload elsewhere beside pods',
    source: 'reference/config/networking/workload-entry/',
    resources:
      entry('vm', '{address: 192.168.1.4, labels: {app: details, version: vm}}') +
      dr(
        'details',
        '{host: details, subsets: [{name: vm, labels: {version: vm}}, {name: v1, labels: {version: v1}}]}',
      ) +
      vs(
        'details',
        '{hosts: [details], http: [{match: [{uri: {prefix: /vm}}], route: [{destination: {host: details, subset: vm}}]}, {route: [{destination: {host: details, subset: v1}}]}]}',
      ),
    requests: [ask('GET /vm', 'details', '192.168.1.4'), ask('GET /', 'details', 'details-v1')],
  },
  {
    name: 'rules for a host outside',
    source: 'tasks/traffic-management/egress/egress-control/',
    resources:
      se(
        'ext',
        '{hosts: [api.example.com], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}',
      ) +
      vs(
        'ext',
        '{hosts: [api.example.com], http: [{timeout: 100ms, route: [{destination: {host: api.example.com}}]}]}',
      ),
    requests: [
      ask('GET /', 'api.example.com', 'api.example.com'),
      ask('GET /', 'api.example.com', 'api.example.com', { status: 504, headers: { 'x-delay-ms': '1500' } }),
    ],
  },
  {
    name: 'a wildcard outside',
    source: 'reference/config/networking/service-entry/',
    resources: se(
      'ext',
      '{hosts: ["*.example.com"], location: MESH_EXTERNAL, resolution: NONE, ports: [{number: 80, name: http, protocol: HTTP}]}',
    ),
    requests: [ask('GET /', 'any.example.com', 'outside'), ask('GET /', 'example.org', 'outside')],
  },
  {
    name: 'an entry that is not exported here',
    source: 'reference/config/networking/service-entry/',
    resources: se(
      'other/ext',
      '{hosts: [api.example.com], exportTo: ["."], location: MESH_EXTERNAL, resolution: DNS, ports: [{number: 80, name: http, protocol: HTTP}]}',
    ),
    requests: [ask('GET /', 'api.example.com', 'outside')],
  },
  {
    name: 'nothing but what is registered',
    source: 'tasks/traffic-management/egress/egress-control/',
    resources: sidecar('default', '{outboundTrafficPolicy: {mode: REGISTRY_ONLY}, egress: [{hosts: ["*/*"]}]}'),
    requests: [
      ask('GET /', 'details', 'details-v1'),
      ask('GET /', 'example.com', null, { status: 502 }),
      ask('GET /', 'cart.other', 'cart-v1'),
    ],
  },
  {
    name: 'a Sidecar for the own namespace',
    source: 'reference/config/networking/sidecar/',
    resources: sidecar('default', '{egress: [{hosts: ["./*"]}]}'),
    requests: [ask('GET /', 'details', 'details-v1'), ask('GET /', 'cart.other', 'outside')],
  },
  {
    name: 'a Sidecar for one service elsewhere',
    source: 'reference/config/networking/sidecar/',
    resources: sidecar('default', '{egress: [{hosts: ["other/cart.other.svc.cluster.local"]}]}'),
    requests: [ask('GET /', 'cart.other', 'cart-v1'), ask('GET /', 'details', 'outside')],
  },
  {
    name: 'a Sidecar for chosen workloads',
    source: 'reference/config/networking/sidecar/',
    labels: { app: 'client' },
    resources:
      sidecar('default', '{egress: [{hosts: ["~/*"]}]}') +
      sidecar(
        'client',
        '{workloadSelector: {labels: {app: client}}, egress: [{hosts: ["./details.shop.svc.cluster.local"]}]}',
      ),
    requests: [ask('GET /', 'details', 'details-v1'), ask('GET /', 'reviews', 'outside')],
  },
  {
    name: 'a Sidecar for the whole mesh, and one that goes before it',
    source: 'reference/config/networking/sidecar/',
    resources:
      sidecar('istio-system/default', '{egress: [{hosts: ["~/*"]}]}') + sidecar('own', '{egress: [{hosts: ["./*"]}]}'),
    requests: [ask('GET /', 'details', 'details-v1'), ask('GET /', 'cart.other', 'outside')],
  },
  {
    name: 'a Sidecar of the root namespace',
    source: 'reference/config/networking/sidecar/',
    resources: sidecar('istio-system/default', '{egress: [{hosts: ["./*"]}]}'),
    requests: [ask('GET /', 'details', 'details-v1'), ask('GET /', 'cart.other', 'outside')],
  },
  {
    name: 'rules that a Sidecar does not let in',
    source: 'reference/config/networking/sidecar/',
    resources:
      sidecar('default', '{egress: [{hosts: ["./*"]}]}') +
      vs('other/details', '{hosts: [details.shop.svc.cluster.local], http: [{directResponse: {status: 418}}]}'),
    requests: [ask('GET /', 'details', 'details-v1')],
  },
  {
    name: 'where rules lead that a Sidecar lets in',
    source: 'reference/config/networking/sidecar/',
    resources:
      sidecar('default', '{egress: [{hosts: ["./details.shop.svc.cluster.local"]}]}') +
      vs('details', '{hosts: [details], http: [{route: [{destination: {host: cart.other.svc.cluster.local}}]}]}'),
    requests: [ask('GET /', 'details', 'cart-v1')],
  },
  {
    name: 'a rule of the client before one of the service',
    source: `${rulePage}#DestinationRule`,
    namespace: 'other',
    resources:
      versions +
      dr('other/reviews', '{host: reviews.shop.svc.cluster.local, subsets: [{name: v1, labels: {version: v3}}]}') +
      vs('reviews', `{hosts: [reviews], http: [{${toReviews('v1')}}]}`),
    requests: [ask('GET /', 'reviews.shop', 'reviews-v3')],
  },
  {
    name: 'a rule of the root namespace where there is no other',
    source: `${rulePage}#DestinationRule`,
    resources:
      dr(
        'istio-system/reviews',
        '{host: reviews.shop.svc.cluster.local, subsets: [{name: v2, labels: {version: v2}}]}',
      ) + vs('reviews', `{hosts: [reviews], http: [{${toReviews('v2')}}]}`),
    requests: [ask('GET /', 'reviews', 'reviews-v2')],
  },
  {
    name: 'a rule that is not exported here',
    source: `${rulePage}#DestinationRule`,
    namespace: 'other',
    resources:
      versions.replace('{host: reviews,', '{host: reviews, exportTo: ["."],') +
      vs('reviews', `{hosts: [reviews], http: [{${toReviews('v2')}}]}`),
    requests: [ask('GET /', 'reviews.shop', null, { status: 503 })],
  },
  {
    name: 'a rule for a wildcard, and an exact one before it',
    source: `${rulePage}#DestinationRule`,
    resources:
      dr('wild', '{host: "*.shop.svc.cluster.local", subsets: [{name: two, labels: {version: v2}}]}') +
      dr('ratings', '{host: ratings, subsets: [{name: two, labels: {version: v1}}]}') +
      vs('reviews', `{hosts: [reviews], http: [{${toReviews('two')}}]}`) +
      vs('ratings', '{hosts: [ratings], http: [{route: [{destination: {host: ratings, subset: two}}]}]}'),
    requests: [ask('GET /', 'reviews', 'reviews-v2'), ask('GET /', 'ratings', 'ratings-v1')],
  },
  {
    name: 'rules of one host are merged',
    source: 'ops/best-practices/traffic-management/#split-destination-rules',
    resources:
      dr('a', '{host: reviews, subsets: [{name: v1, labels: {version: v1}}]}') +
      dr('b', '{host: reviews, subsets: [{name: v2, labels: {version: v2}}]}') +
      vs(
        'reviews',
        `{hosts: [reviews], http: [{match: [{uri: {prefix: /2}}], ${toReviews('v2')}}, {${toReviews('v1')}}]}`,
      ),
    requests: [ask('GET /2', 'reviews', 'reviews-v2'), ask('GET /', 'reviews', 'reviews-v1')],
  },
  {
    name: 'another namespace’s callers by the same rules',
    source: 'reference/config/networking/virtual-service/#VirtualService',
    namespace: 'other',
    resources: versions + vs('reviews', `{hosts: [reviews], http: [{${toReviews('v3')}}]}`),
    requests: [
      ask('GET /', 'reviews.shop.svc.cluster.local', 'reviews-v3'),
      ask('GET /', 'cart', 'cart-v1'),
      ask('GET /', 'reviews', 'outside'),
    ],
  },
];
