/** VirtualService: what is done to a request on its way. */
import { ask, dr, entry, type MeshCase, se, vs } from '../case.ts';

const page = 'reference/config/networking/virtual-service/';
const details = (rule: string): string => vs('details', `{hosts: [details], http: [{${rule}}]}`);
const here = 'route: [{destination: {host: details}}]';

export const traffic: readonly MeshCase[] = [
  {
    name: 'a prefix is rewritten',
    source: `${page}#HTTPRewrite`,
    resources: details(`match: [{uri: {prefix: /old}}], rewrite: {uri: /new}, ${here}`),
    requests: [
      ask('GET /old/page?q=1', 'details', 'details-v1', {
        seen: { ':path': '/new/page?q=1', 'x-envoy-original-path': '/old/page?q=1' },
      }),
      ask('GET /older', 'details', 'details-v1', { seen: { ':path': '/newer' } }),
    ],
  },
  {
    name: 'a whole path is rewritten',
    source: `${page}#HTTPRewrite`,
    resources: details(`match: [{uri: {exact: /old}}], rewrite: {uri: /new}, ${here}`),
    requests: [
      ask('GET /old', 'details', 'details-v1', { seen: { ':path': '/new' } }),
      ask('GET /old/x', 'details', null, { status: 404 }),
    ],
  },
  {
    name: 'a prefix with its slash is taken away',
    source: `${page}#HTTPRewrite`,
    resources: details(`match: [{uri: {prefix: /api/}}], rewrite: {uri: /}, ${here}`),
    requests: [ask('GET /api/items/1', 'details', 'details-v1', { seen: { ':path': '/items/1' } })],
  },
  {
    name: 'a path is rewritten by a regular expression',
    source: `${page}#RegexRewrite`,
    resources: details(
      `rewrite: {uriRegexRewrite: {match: "/service/([^/]+)/(.*)", rewrite: "/\\\\2/of/\\\\1"}}, ${here}`.replaceAll(
        '"/\\\\2/of/\\\\1"',
        "'/\\2/of/\\1'",
      ),
    ),
    requests: [ask('GET /service/a/b/c?x=1', 'details', 'details-v1', { seen: { ':path': '/b/c/of/a?x=1' } })],
  },
  {
    name: 'the authority is rewritten',
    source: `${page}#HTTPRewrite`,
    resources: details(`rewrite: {authority: inner.example.com}, ${here}`),
    requests: [ask('GET /', 'details', 'details-v1', { seen: { host: 'inner.example.com' } })],
  },
  {
    name: 'redirects',
    source: `${page}#HTTPRedirect`,
    resources: vs(
      'details',
      `{hosts: [details], http: [
        {match: [{uri: {prefix: /uri}}], redirect: {uri: /elsewhere}},
        {match: [{uri: {prefix: /authority}}], redirect: {authority: other.example.com}},
        {match: [{uri: {prefix: /code}}], redirect: {uri: /x, redirectCode: 308}},
        {match: [{uri: {prefix: /scheme}}], redirect: {scheme: https, authority: a.example.com}},
        {match: [{uri: {prefix: /port}}], redirect: {port: 8443, authority: a.example.com}},
        {match: [{uri: {prefix: /keep}}], redirect: {authority: a.example.com, derivePort: FROM_PROTOCOL_DEFAULT}}]}`,
    ),
    requests: [
      ask('GET /uri/a', 'details', null, { status: 301, answer: { location: 'http://details/elsewhere' } }),
      ask('GET /authority/a?q=1', 'details', null, {
        status: 301,
        answer: { location: 'http://other.example.com/authority/a?q=1' },
      }),
      ask('GET /code', 'details', null, { status: 308 }),
      ask('GET /scheme', 'details', null, { status: 301, answer: { location: 'https://a.example.com/scheme' } }),
      ask('GET /port', 'details', null, { status: 301, answer: { location: 'http://a.example.com:8443/port' } }),
      ask('GET /keep', 'details', null, { status: 301, answer: { location: 'http://a.example.com/keep' } }),
    ],
  },
  {
    name: 'headers of the request',
    source: `${page}#Headers`,
    resources: details(`headers: {request: {set: {x-set: new}, add: {x-add: more}, remove: [x-gone]}}, ${here}`),
    requests: [
      ask('GET /', 'details', 'details-v1', {
        headers: { 'x-set': 'old', 'x-add': 'first', 'x-gone': '1' },
        seen: { 'x-set': 'new', 'x-add': 'first, more', 'x-gone': null },
      }),
      ask('GET /', 'details', 'details-v1', { seen: { 'x-set': 'new', 'x-add': 'more' } }),
    ],
  },
  {
    name: 'headers of the response',
    source: `${page}#Headers`,
    resources: details(`headers: {response: {set: {x-pod: hidden}, add: {x-new: "1"}, remove: [x-extra]}}, ${here}`),
    requests: [ask('GET /', 'details', 'details-v1', { answer: { 'x-pod': 'hidden', 'x-new': '1', 'x-extra': null } })],
  },
  {
    name: 'headers of a destination',
    source: `${page}#HTTPRouteDestination`,
    resources: details(
      'route: [{destination: {host: details}, headers: {request: {set: {x-to: details}}, response: {remove: [x-extra]}}}]',
    ),
    requests: [ask('GET /', 'details', 'details-v1', { seen: { 'x-to': 'details' }, answer: { 'x-extra': null } })],
  },
  {
    name: 'the host by a header',
    source: `${page}#Headers`,
    resources: details(`headers: {request: {set: {Host: set.example.com}}}, ${here}`),
    requests: [ask('GET /', 'details', 'details-v1', { seen: { host: 'set.example.com' } })],
  },
  {
    name: 'a mirror',
    source: 'tasks/traffic-management/mirroring/',
    resources: details(`${here}, mirror: {host: cart.other.svc.cluster.local}`),
    requests: [ask('GET /', 'details', 'details-v1', { mirrored: 'cart-v1' })],
  },
  {
    name: 'a mirror of nothing',
    source: `${page}#HTTPRoute`,
    resources: details(`${here}, mirror: {host: cart.other.svc.cluster.local}, mirrorPercentage: {value: 0}`),
    requests: [ask('GET /', 'details', 'details-v1')],
  },
  {
    name: 'an abort for one user',
    source: 'tasks/traffic-management/fault-injection/',
    resources: vs(
      'details',
      `{hosts: [details], http: [{match: [{headers: {end-user: {exact: jason}}}], fault: {abort: {percentage: {value: 100}, httpStatus: 500}}, ${here}}, {${here}}]}`,
    ),
    requests: [
      ask('GET /', 'details', null, { status: 500, headers: { 'end-user': 'jason' }, body: 'fault filter abort' }),
      ask('GET /', 'details', 'details-v1'),
    ],
  },
  {
    name: 'an abort of nobody',
    source: `${page}#HTTPFaultInjection`,
    resources: details(`fault: {abort: {percentage: {value: 0}, httpStatus: 500}}, ${here}`),
    requests: [ask('GET /', 'details', 'details-v1')],
  },
  {
    name: 'a gRPC abort',
    source: `${page}#HTTPFaultInjection-Abort`,
    resources: details(`fault: {abort: {percentage: {value: 100}, grpcStatus: UNAVAILABLE}}, ${here}`),
    requests: [
      ask('GET /', 'details', null, {
        status: 200,
        headers: { 'content-type': 'application/grpc' },
        answer: { 'grpc-status': '14' },
      }),
    ],
  },
  {
    name: 'a delay before a timeout',
    source: 'tasks/traffic-management/request-timeouts/',
    resources: details(`fault: {delay: {percentage: {value: 100}, fixedDelay: 50ms}}, timeout: 5s, ${here}`),
    requests: [ask('GET /', 'details', 'details-v1')],
  },
  {
    name: 'a timeout',
    source: 'tasks/traffic-management/request-timeouts/',
    resources: details(`timeout: 100ms, ${here}`),
    requests: [
      ask('GET /', 'details', 'details-v1', {
        status: 504,
        headers: { 'x-delay-ms': '1500' },
        body: 'upstream request timeout',
      }),
      ask('GET /', 'details', 'details-v1'),
    ],
  },
  {
    name: 'no timeout unless one is set',
    source: `${page}#HTTPRoute`,
    resources: '',
    requests: [ask('GET /', 'details', 'details-v1', { headers: { 'x-delay-ms': '700' } })],
  },
  {
    name: 'retries of what may be repeated',
    source: `${page}#HTTPRetry`,
    resources: details(`retries: {attempts: 2, retryOn: 5xx, perTryTimeout: 2s}, ${here}`),
    requests: [
      ask('GET /', 'details', 'details-v1', {
        headers: { 'x-answers': '500,502,200' },
        seen: { 'x-envoy-attempt-count': '3' },
      }),
      ask('GET /', 'details', 'details-v1', { status: 503, headers: { 'x-answers': '500,502,503,200' } }),
      ask('GET /', 'details', 'details-v1', { status: 404, headers: { 'x-answers': '404,200' } }),
    ],
  },
  {
    name: 'retries of given statuses',
    source: `${page}#HTTPRetry`,
    resources: details(`retries: {attempts: 1, retryOn: "418,retriable-4xx"}, ${here}`),
    requests: [
      ask('GET /', 'details', 'details-v1', { headers: { 'x-answers': '418,200' } }),
      ask('GET /', 'details', 'details-v1', { headers: { 'x-answers': '409,200' } }),
      ask('GET /', 'details', 'details-v1', { status: 500, headers: { 'x-answers': '500,200' } }),
    ],
  },
  {
    name: 'the default retries',
    source: `${page}#HTTPRetry`,
    resources: '',
    requests: [
      ask('GET /', 'details', 'details-v1', { headers: { 'x-answers': '503,503,200' } }),
      ask('GET /', 'details', 'details-v1', { status: 503, headers: { 'x-answers': '503,503,503,200' } }),
      ask('GET /', 'details', 'details-v1', { status: 500, headers: { 'x-answers': '500,200' } }),
    ],
  },
  {
    name: 'no retries',
    source: `${page}#HTTPRetry`,
    resources: details(`retries: {attempts: 0}, ${here}`),
    requests: [ask('GET /', 'details', 'details-v1', { status: 503, headers: { 'x-answers': '503,200' } })],
  },
  {
    name: 'CORS',
    source: `${page}#CorsPolicy`,
    resources: details(
      `corsPolicy: {allowOrigins: [{exact: "https://a.example.com"}, {regex: "https://[a-z]+\\\\.b\\\\.com"}], allowMethods: [POST, GET], allowHeaders: [x-own], exposeHeaders: [x-pod], maxAge: 24h, allowCredentials: true}, ${here}`,
    ),
    requests: [
      ask('OPTIONS /', 'details', null, {
        headers: { origin: 'https://a.example.com', 'access-control-request-method': 'POST' },
        answer: {
          'access-control-allow-origin': 'https://a.example.com',
          'access-control-allow-methods': 'POST,GET',
          'access-control-allow-headers': 'x-own',
          'access-control-max-age': '86400',
          'access-control-allow-credentials': 'true',
        },
      }),
      ask('GET /', 'details', 'details-v1', {
        headers: { origin: 'https://x.b.com' },
        answer: { 'access-control-allow-origin': 'https://x.b.com', 'access-control-expose-headers': 'x-pod' },
      }),
      ask('GET /', 'details', 'details-v1', {
        headers: { origin: 'https://evil.com' },
        answer: { 'access-control-allow-origin': null },
      }),
    ],
  },
  {
    name: 'warm-up, a retry budget, connections of a limited life',
    source: 'reference/config/networking/destination-rule/#WarmupConfiguration',
    resources: dr(
      'details',
      '{host: details, trafficPolicy: {retryBudget: {percent: 50, minRetryConcurrency: 1}, connectionPool: {tcp: {maxConnectionDuration: 60s}}, loadBalancer: {warmup: {duration: 10s, minimumPercent: 20, aggression: 2}}}}',
    ),
    requests: [
      ask('GET /', 'details', 'details-v1'),
      ask('GET /', 'details', 'details-v1', { headers: { 'x-answers': '503,200' } }),
    ],
  },
  {
    name: 'shares of localities',
    source: 'reference/config/networking/destination-rule/#LocalityLoadBalancerSetting',
    resources:
      entry('near', '{address: 192.168.9.1, labels: {app: placed}, locality: eu/west}') +
      entry('far', '{address: 192.168.9.2, labels: {app: placed}, locality: us/east}') +
      entry('nowhere', '{address: 192.168.9.3, labels: {app: placed}, locality: asia/south}') +
      se(
        'placed',
        '{hosts: [placed.internal], location: MESH_INTERNAL, resolution: STATIC, ports: [{number: 80, name: http, protocol: HTTP}], workloadSelector: {labels: {app: placed}}}',
      ) +
      dr(
        'placed',
        '{host: placed.internal, trafficPolicy: {loadBalancer: {localityLbSetting: {distribute: [{from: "*", to: {"eu/*": 70, "us/*": 30}}]}}}}',
      ),
    locality: { region: 'eu', zone: 'west', sub_zone: '' },
    requests: [ask('GET /', 'placed.internal', null, { shares: { '192.168.9.1': 0.7, '192.168.9.2': 0.3 } })],
  },
  {
    name: 'at most so many requests at once',
    source: 'tasks/traffic-management/circuit-breaking/',
    resources: dr(
      'details',
      '{host: details, trafficPolicy: {connectionPool: {http: {http1MaxPendingRequests: 1, maxRequestsPerConnection: 1}, tcp: {maxConnections: 1}}}}',
    ),
    requests: [ask('GET /', 'details', 'details-v1'), ask('GET /', 'details', 'details-v1')],
  },
];
