/** VirtualService: which route a request takes. */
import { ask, dr, type MeshCase, toReviews, versions, vs } from '../case.ts';

const page = 'reference/config/networking/virtual-service/';
const v = (subset: string) => `reviews-${subset}`;

/** Rules of reviews, in order, before a last one to v1. */
const rules = (...http: string[]): string =>
  `${versions}${vs('reviews', `{hosts: [reviews], http: [${[...http, toReviews('v1')].map((rule) => `{${rule}}`).join(', ')}]}`)}`;

export const routing: readonly MeshCase[] = [
  {
    name: 'no VirtualService: every name of a service',
    source: 'ops/configuration/traffic-management/traffic-routing/',
    resources: '',
    requests: [
      ask('GET /', 'details', 'details-v1'),
      ask('GET /', 'details:80', 'details-v1'),
      ask('GET /', 'details.shop', 'details-v1'),
      ask('GET /', 'details.shop.svc', 'details-v1'),
      ask('GET /', 'details.shop.svc.cluster.local', 'details-v1'),
      ask('GET /', '10.96.0.12', 'details-v1'),
      ask('GET /', 'cart.other', 'cart-v1'),
      ask('GET /', 'cart', 'outside'),
      ask('GET /', 'example.com', 'outside'),
    ],
  },
  {
    name: 'all to one subset',
    source: 'tasks/traffic-management/request-routing/',
    resources: `${versions}${vs('reviews', `{hosts: [reviews], http: [{${toReviews('v3')}}]}`)}`,
    requests: [ask('GET /', 'reviews', v('v3')), ask('GET /any/path?x=1', 'reviews.shop', v('v3'))],
  },
  {
    name: 'a user elsewhere',
    source: 'tasks/traffic-management/request-routing/',
    resources: rules(`match: [{headers: {end-user: {exact: jason}}}], ${toReviews('v2')}`),
    requests: [
      ask('GET /', 'reviews', v('v2'), { headers: { 'end-user': 'jason' } }),
      ask('GET /', 'reviews', v('v1'), { headers: { 'end-user': 'Jason' } }),
      ask('GET /', 'reviews', v('v1')),
    ],
  },
  {
    name: 'headers by prefix, by regular expression, by presence',
    source: `${page}#HTTPMatchRequest`,
    resources: rules(
      `match: [{headers: {x-a: {prefix: ab}}}], ${toReviews('v2')}`,
      `match: [{headers: {x-a: {regex: "[0-9]+"}}}], ${toReviews('v3')}`,
      `match: [{headers: {x-there: {}}}], ${toReviews('v2')}`,
    ),
    requests: [
      ask('GET /', 'reviews', v('v2'), { headers: { 'x-a': 'abc' } }),
      ask('GET /', 'reviews', v('v1'), { headers: { 'x-a': 'bab' } }),
      ask('GET /', 'reviews', v('v3'), { headers: { 'x-a': '42' } }),
      ask('GET /', 'reviews', v('v1'), { headers: { 'x-a': '42b' } }),
      ask('GET /', 'reviews', v('v2'), { headers: { 'x-there': 'yes' } }),
    ],
  },
  {
    name: 'without headers',
    source: `${page}#HTTPMatchRequest`,
    resources: rules(`match: [{withoutHeaders: {x-skip: {exact: "1"}}}], ${toReviews('v2')}`),
    requests: [
      ask('GET /', 'reviews', v('v2')),
      ask('GET /', 'reviews', v('v2'), { headers: { 'x-skip': '2' } }),
      ask('GET /', 'reviews', v('v1'), { headers: { 'x-skip': '1' } }),
    ],
  },
  {
    name: 'paths: exact, prefix, regular expression',
    source: `${page}#StringMatch`,
    resources: rules(
      `match: [{uri: {exact: /one}}], ${toReviews('v2')}`,
      `match: [{uri: {prefix: /pre}}], ${toReviews('v3')}`,
      `match: [{uri: {regex: "/r/[a-z]+"}}], ${toReviews('v2')}`,
    ),
    requests: [
      ask('GET /one', 'reviews', v('v2')),
      ask('GET /one?q=1', 'reviews', v('v2')),
      ask('GET /one/', 'reviews', v('v1')),
      ask('GET /ONE', 'reviews', v('v1')),
      ask('GET /pre', 'reviews', v('v3')),
      ask('GET /prefix/x', 'reviews', v('v3')),
      ask('GET /r/abc', 'reviews', v('v2')),
      ask('GET /r/abc/d', 'reviews', v('v1')),
      ask('GET /r/1', 'reviews', v('v1')),
    ],
  },
  {
    name: 'paths whatever the case',
    source: `${page}#HTTPMatchRequest`,
    resources: rules(
      `match: [{uri: {exact: /One}, ignoreUriCase: true}], ${toReviews('v2')}`,
      `match: [{uri: {prefix: /Pre}, ignoreUriCase: true}], ${toReviews('v3')}`,
    ),
    requests: [
      ask('GET /one', 'reviews', v('v2')),
      ask('GET /ONE', 'reviews', v('v2')),
      ask('GET /PREFIX', 'reviews', v('v3')),
      ask('GET /other', 'reviews', v('v1')),
    ],
  },
  {
    name: 'methods',
    source: `${page}#HTTPMatchRequest`,
    resources: rules(
      `match: [{method: {exact: POST}}], ${toReviews('v2')}`,
      `match: [{method: {regex: "PUT|PATCH"}}], ${toReviews('v3')}`,
    ),
    requests: [
      ask('POST /', 'reviews', v('v2'), { headers: { 'content-length': '0' } }),
      ask('PUT /', 'reviews', v('v3'), { headers: { 'content-length': '0' } }),
      ask('GET /', 'reviews', v('v1')),
    ],
  },
  {
    name: 'query parameters',
    source: `${page}#HTTPMatchRequest`,
    resources: rules(
      `match: [{queryParams: {user: {exact: jason}}}], ${toReviews('v2')}`,
      `match: [{queryParams: {n: {regex: "[0-9]+"}}}], ${toReviews('v3')}`,
      `match: [{queryParams: {tag: {prefix: a}}}], ${toReviews('v2')}`,
    ),
    requests: [
      ask('GET /?user=jason', 'reviews', v('v2')),
      ask('GET /?user=eve', 'reviews', v('v1')),
      ask('GET /?x=1&n=12', 'reviews', v('v3')),
      ask('GET /?n=1a', 'reviews', v('v1')),
      ask('GET /?tag=abc', 'reviews', v('v2')),
      ask('GET /?tag=', 'reviews', v('v1')),
    ],
  },
  {
    name: 'the authority',
    source: `${page}#HTTPMatchRequest`,
    resources: rules(`match: [{authority: {exact: reviews.shop}}], ${toReviews('v2')}`),
    requests: [ask('GET /', 'reviews.shop', v('v2')), ask('GET /', 'reviews', v('v1'))],
  },
  {
    name: 'all conditions of one match, any of several',
    source: `${page}#HTTPRoute`,
    resources: rules(
      `match: [{uri: {prefix: /a}, headers: {x: {exact: "1"}}}, {uri: {prefix: /b}}], ${toReviews('v2')}`,
    ),
    requests: [
      ask('GET /a', 'reviews', v('v2'), { headers: { x: '1' } }),
      ask('GET /a', 'reviews', v('v1')),
      ask('GET /b', 'reviews', v('v2')),
      ask('GET /c', 'reviews', v('v1'), { headers: { x: '1' } }),
    ],
  },
  {
    name: 'the first rule that matches',
    source: `${page}#VirtualService`,
    resources: rules(
      `match: [{uri: {prefix: /x}}], ${toReviews('v2')}`,
      `match: [{uri: {prefix: /x/y}}], ${toReviews('v3')}`,
    ),
    requests: [
      ask('GET /x/y', 'reviews', v('v2')),
      ask('GET /x', 'reviews', v('v2')),
      ask('GET /y', 'reviews', v('v1')),
    ],
  },
  {
    name: 'a rule without a match takes the rest',
    source: `${page}#HTTPRoute`,
    resources: `${versions}${vs('reviews', `{hosts: [reviews], http: [{match: [{uri: {prefix: /x}}], ${toReviews('v2')}}]}`)}`,
    requests: [ask('GET /x', 'reviews', v('v2')), ask('GET /y', 'reviews', null, { status: 404 })],
  },
  {
    name: 'who asks: labels and namespace of the source',
    source: `${page}#HTTPMatchRequest`,
    labels: { app: 'client', version: 'canary' },
    resources: rules(
      `match: [{sourceLabels: {version: stable}}], ${toReviews('v2')}`,
      `match: [{sourceNamespace: other}], ${toReviews('v2')}`,
      `match: [{sourceLabels: {version: canary}, sourceNamespace: shop}], ${toReviews('v3')}`,
    ),
    requests: [ask('GET /', 'reviews', v('v3'))],
  },
  {
    name: 'which port is asked',
    source: `${page}#HTTPMatchRequest`,
    resources: rules(`match: [{port: 81}], ${toReviews('v2')}`, `match: [{port: 80}], ${toReviews('v3')}`),
    requests: [ask('GET /', 'reviews', v('v3'))],
  },
  {
    name: 'weights of nothing and of everything',
    source: `${page}#HTTPRouteDestination`,
    resources: `${versions}${vs('reviews', '{hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}, weight: 0}, {destination: {host: reviews, subset: v2}, weight: 100}]}]}')}`,
    requests: [ask('GET /', 'reviews', v('v2')), ask('GET /', 'reviews', v('v2'))],
  },
  {
    name: 'another service, by its short and its full name',
    source: `${page}#Destination`,
    resources: `${vs('reviews', '{hosts: [reviews], http: [{match: [{uri: {prefix: /d}}], route: [{destination: {host: details}}]}, {route: [{destination: {host: cart.other.svc.cluster.local, port: {number: 80}}}]}]}')}`,
    requests: [ask('GET /d', 'reviews', 'details-v1'), ask('GET /', 'reviews', 'cart-v1')],
  },
  {
    name: 'short names are of the resource’s own namespace',
    source: `${page}#Destination`,
    resources: vs(
      'other/cart',
      '{hosts: [cart], http: [{route: [{destination: {host: cart}}], headers: {response: {set: {x-by: other}}}}]}',
    ),
    requests: [ask('GET /', 'cart.other', 'cart-v1', { answer: { 'x-by': 'other' } }), ask('GET /', 'cart', 'outside')],
  },
  {
    name: 'a subset that no rule defines',
    source: `${page}#Destination`,
    resources: vs('reviews', '{hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v9}}]}]}'),
    requests: [ask('GET /', 'reviews', null, { status: 503 })],
  },
  {
    name: 'a host that no service has',
    source: 'ops/configuration/traffic-management/traffic-routing/',
    resources: vs('virtual', '{hosts: [virtual.example.com], http: [{route: [{destination: {host: details}}]}]}'),
    requests: [ask('GET /', 'virtual.example.com', 'details-v1'), ask('GET /', 'www.virtual.example.com', 'outside')],
  },
  {
    name: 'a wildcard host',
    source: `${page}#VirtualService`,
    resources: vs('wild', '{hosts: ["*.example.com"], http: [{route: [{destination: {host: details}}]}]}'),
    requests: [
      ask('GET /', 'a.example.com', 'details-v1'),
      ask('GET /', 'a.b.example.com', 'details-v1'),
      ask('GET /', 'example.com', 'outside'),
    ],
  },
  {
    name: 'an exact host before a wildcard',
    source: `${page}#VirtualService`,
    resources: `${vs('wild', '{hosts: ["*.example.com"], http: [{route: [{destination: {host: details}}]}]}')}${vs('exact', '{hosts: [a.example.com], http: [{route: [{destination: {host: cart.other.svc.cluster.local}}]}]}')}`,
    requests: [ask('GET /', 'a.example.com', 'cart-v1'), ask('GET /', 'b.example.com', 'details-v1')],
  },
  {
    name: 'of two for one host the older',
    source: 'ops/best-practices/traffic-management/#split-virtual-services',
    resources: `${vs('b', '{hosts: [details], http: [{route: [{destination: {host: details}}], headers: {response: {set: {x-by: b}}}}]}').replace('2026-01-01', '2026-01-02')}${vs('a', '{hosts: [details.shop.svc.cluster.local], http: [{route: [{destination: {host: details}}], headers: {response: {set: {x-by: a}}}}]}')}`,
    requests: [ask('GET /', 'details', 'details-v1', { answer: { 'x-by': 'a' } })],
  },
  {
    name: 'what is not exported here',
    source: `${page}#VirtualService`,
    resources: vs(
      'other/details',
      '{hosts: [details.shop.svc.cluster.local], exportTo: ["."], http: [{directResponse: {status: 418}}]}',
    ),
    requests: [ask('GET /', 'details', 'details-v1')],
  },
  {
    name: 'what another namespace exports',
    source: `${page}#VirtualService`,
    resources: vs(
      'other/details',
      '{hosts: [details.shop.svc.cluster.local], exportTo: [shop], http: [{directResponse: {status: 418, body: {string: tea}}}]}',
    ),
    requests: [ask('GET /', 'details', null, { status: 418, body: 'tea' })],
  },
  {
    name: 'rules of gateways are not for sidecars',
    source: `${page}#VirtualService`,
    resources: vs('details', '{hosts: [details], gateways: [shop/edge], http: [{directResponse: {status: 418}}]}'),
    requests: [ask('GET /', 'details', 'details-v1')],
  },
  {
    name: 'a direct response',
    source: `${page}#HTTPDirectResponse`,
    resources: vs(
      'details',
      '{hosts: [details], http: [{match: [{uri: {prefix: /down}}], directResponse: {status: 503, body: {string: "closed for today"}}}, {route: [{destination: {host: details}}]}]}',
    ),
    requests: [
      ask('GET /down', 'details', null, { status: 503, body: 'closed for today' }),
      ask('GET /', 'details', 'details-v1'),
    ],
  },
  {
    name: 'a subset by several labels',
    source: 'reference/config/networking/destination-rule/#Subset',
    resources: `${dr('reviews', '{host: reviews.shop.svc.cluster.local, subsets: [{name: two, labels: {app: reviews, version: v2}}]}')}${vs('reviews', `{hosts: [reviews], http: [{${toReviews('two')}}]}`)}`,
    requests: [ask('GET /', 'reviews', v('v2'))],
  },
];
