/** Gateways: who is let in, and by which rules. */
import { ask, gw, type MeshCase, toReviews, versions, vs } from '../case.ts';

const page = 'reference/config/networking/gateway/';
const edge = (hosts: string, more = ''): string =>
  gw(
    'edge',
    `{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: http, protocol: HTTP}, hosts: [${hosts}]${more}}]}`,
  );
const bound = (name: string, hosts: string, http: string): string =>
  vs(name, `{hosts: [${hosts}], gateways: [${name.includes('/') ? 'shop/' : ''}edge], http: [${http}]}`);
const details = '{route: [{destination: {host: details.shop.svc.cluster.local}}]}';

export const gateways: readonly MeshCase[] = [
  {
    name: 'a host of the gateway',
    source: 'tasks/traffic-management/ingress/ingress-control/',
    from: 'gateway',
    resources:
      edge('httpbin.example.com') +
      bound(
        'details',
        'httpbin.example.com',
        `{match: [{uri: {prefix: /status}}, {uri: {prefix: /delay}}], ${details.slice(1)}`,
      ),
    requests: [
      ask('GET /status/200', 'httpbin.example.com', 'details-v1'),
      ask('GET /delay/1', 'httpbin.example.com:80', 'details-v1'),
      ask('GET /headers', 'httpbin.example.com', null, { status: 404 }),
      ask('GET /status/200', 'other.example.com', null, { status: 404 }),
    ],
  },
  {
    name: 'every host',
    source: 'tasks/traffic-management/ingress/ingress-control/',
    from: 'gateway',
    resources: edge('"*"') + bound('details', '"*"', details),
    requests: [ask('GET /', 'any.example.com', 'details-v1'), ask('GET /', '10.1.1.1', 'details-v1')],
  },
  {
    name: 'a gateway without rules',
    source: `${page}#Gateway`,
    from: 'gateway',
    resources: edge('"*"'),
    requests: [ask('GET /', 'any.example.com', null, { status: 404 })],
  },
  {
    name: 'hosts that meet: the rule’s within the gateway’s',
    source: `${page}#Server`,
    from: 'gateway',
    resources: edge('"*.example.com"') + bound('details', 'a.example.com, b.example.org', details),
    requests: [
      ask('GET /', 'a.example.com', 'details-v1'),
      ask('GET /', 'b.example.org', null, { status: 404 }),
      ask('GET /', 'c.example.com', null, { status: 404 }),
    ],
  },
  {
    name: 'hosts that meet: the gateway’s within the rule’s',
    source: `${page}#Server`,
    from: 'gateway',
    resources: edge('a.example.com') + bound('details', '"*.example.com"', details),
    requests: [ask('GET /', 'a.example.com', 'details-v1'), ask('GET /', 'b.example.com', null, { status: 404 })],
  },
  {
    name: 'hosts of one namespace',
    source: `${page}#Server`,
    from: 'gateway',
    resources:
      edge('"other/*"') +
      bound('details', 'a.example.com', details) +
      bound('other/cart', 'b.example.com', '{route: [{destination: {host: cart}}]}'),
    requests: [ask('GET /', 'a.example.com', null, { status: 404 }), ask('GET /', 'b.example.com', 'cart-v1')],
  },
  {
    name: 'hosts of the gateway’s own namespace',
    source: `${page}#Server`,
    from: 'gateway',
    resources:
      edge('"./*"') +
      bound('details', 'a.example.com', details) +
      bound('other/cart', 'b.example.com', '{route: [{destination: {host: cart}}]}'),
    requests: [ask('GET /', 'a.example.com', 'details-v1'), ask('GET /', 'b.example.com', null, { status: 404 })],
  },
  {
    name: 'rules of one host in several VirtualServices',
    source: 'ops/best-practices/traffic-management/#split-virtual-services',
    from: 'gateway',
    resources:
      edge('a.example.com') +
      bound('reviews', 'a.example.com', `{match: [{uri: {prefix: /reviews}}], ${toReviews('v2')}}`) +
      bound('details', 'a.example.com', `{match: [{uri: {prefix: /details}}], ${details.slice(1)}`) +
      versions,
    requests: [
      ask('GET /reviews/1', 'a.example.com', 'reviews-v2'),
      ask('GET /details/1', 'a.example.com', 'details-v1'),
      ask('GET /', 'a.example.com', null, { status: 404 }),
    ],
  },
  {
    name: 'a catch-all goes last, wherever it stands',
    source: 'ops/best-practices/traffic-management/#split-virtual-services',
    from: 'gateway',
    resources:
      edge('a.example.com') +
      bound('a-first', 'a.example.com', details) +
      bound('b-second', 'a.example.com', `{match: [{uri: {prefix: /reviews}}], ${toReviews('v3')}}`) +
      versions,
    requests: [ask('GET /reviews', 'a.example.com', 'reviews-v3'), ask('GET /', 'a.example.com', 'details-v1')],
  },
  {
    name: 'to HTTPS',
    source: `${page}#ServerTLSSettings`,
    from: 'gateway',
    resources: edge('a.example.com', ', tls: {httpsRedirect: true}') + bound('details', 'a.example.com', details),
    requests: [
      ask('GET /path?q=1', 'a.example.com', null, {
        status: 301,
        answer: { location: 'https://a.example.com/path?q=1' },
      }),
    ],
  },
  {
    name: 'another gateway’s rules',
    source: 'reference/config/networking/virtual-service/#VirtualService',
    from: 'gateway',
    resources: edge('"*"') + vs('details', `{hosts: [a.example.com], gateways: [elsewhere], http: [${details}]}`),
    requests: [ask('GET /', 'a.example.com', null, { status: 404 })],
  },
  {
    name: 'rules of the mesh are not the gateway’s',
    source: 'reference/config/networking/virtual-service/#VirtualService',
    from: 'gateway',
    resources: edge('"*"') + vs('details', `{hosts: [details], http: [${details}]}`),
    requests: [ask('GET /', 'details', null, { status: 404 })],
  },
  {
    name: 'a delegate',
    source: 'reference/config/networking/virtual-service/#Delegate',
    from: 'gateway',
    resources:
      edge('a.example.com') +
      bound(
        'root',
        'a.example.com',
        '{match: [{uri: {prefix: /reviews}}], delegate: {name: reviews}}, {match: [{uri: {prefix: /cart}}], delegate: {name: cart, namespace: other}}',
      ) +
      vs('reviews', `{http: [{match: [{uri: {prefix: /reviews/v2}}], ${toReviews('v2')}}, {${toReviews('v1')}}]}`) +
      vs('other/cart', '{http: [{route: [{destination: {host: cart}}]}]}') +
      versions,
    requests: [
      ask('GET /reviews/v2', 'a.example.com', 'reviews-v2'),
      ask('GET /reviews', 'a.example.com', 'reviews-v1'),
      ask('GET /cart/1', 'a.example.com', 'cart-v1'),
      ask('GET /', 'a.example.com', null, { status: 404 }),
    ],
  },
  {
    name: 'rules that tell gateway and mesh apart',
    source: 'reference/config/networking/virtual-service/#HTTPMatchRequest',
    from: 'gateway',
    resources:
      edge('a.example.com') +
      vs(
        'reviews',
        `{hosts: [reviews, a.example.com], gateways: [edge, mesh], http: [{match: [{gateways: [mesh]}], ${toReviews('v1')}}, {match: [{gateways: [edge]}], ${toReviews('v2')}}]}`,
      ) +
      versions,
    requests: [ask('GET /', 'a.example.com', 'reviews-v2')],
  },
  {
    name: 'a second port',
    source: `${page}#Port`,
    from: 'gateway',
    port: 8081,
    resources:
      gw(
        'edge',
        '{selector: {istio: ingressgateway}, servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ["*"]}, {port: {number: 8081, name: b, protocol: HTTP}, hosts: [b.example.com]}]}',
      ) + bound('details', '"b.example.com"', details),
    requests: [ask('GET /', 'b.example.com', 'details-v1'), ask('GET /', 'a.example.com', null, { status: 404 })],
  },
  {
    name: 'a port of the gateway in the rule',
    source: 'reference/config/networking/virtual-service/#HTTPMatchRequest',
    from: 'gateway',
    resources:
      edge('"*"') +
      bound(
        'details',
        'a.example.com',
        `{match: [{port: 81}], directResponse: {status: 418}}, {match: [{port: 80}], ${details.slice(1)}`,
      ),
    requests: [ask('GET /', 'a.example.com', 'details-v1')],
  },
  {
    name: 'a gateway for other workloads',
    source: `${page}#Gateway`,
    from: 'gateway',
    resources:
      edge('"*"') +
      gw(
        'others',
        '{selector: {istio: egressgateway}, servers: [{port: {number: 80, name: a, protocol: HTTP}, hosts: ["*"]}]}',
      ) +
      vs('details', `{hosts: [a.example.com], gateways: [others], http: [${details}]}`),
    requests: [ask('GET /', 'a.example.com', null, { status: 404 })],
  },
];
