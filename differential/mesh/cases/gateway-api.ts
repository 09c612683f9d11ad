/** The Kubernetes Gateway API: at the edge, on the Service of Istio's own gateway, and for callers in the mesh. */
import { ask, dr, grant, grpcRoute, httpRoute, kubernetesGateway, type MeshCase } from '../case.ts';

/** Below gateway-api.sigs.k8s.io/, where the other sources are Istio's. */
const page = 'https://gateway-api.sigs.k8s.io/reference/spec/';
const mesh = 'https://gateway-api.sigs.k8s.io/mesh/';

const edge = (listeners: string): string =>
  kubernetesGateway(
    'edge',
    `{gatewayClassName: istio, addresses: [{type: Hostname, value: istio-ingressgateway.istio-system.svc.cluster.local}], listeners: [${listeners}]}`,
  );
const plain = edge('{name: http, port: 80, protocol: HTTP}');
const onEdge = (name: string, rules: string, more = ''): string =>
  httpRoute(name, `{parentRefs: [{name: edge}], ${more}rules: [${rules}]}`);
const forCallers = (name: string, service: string, rules: string, port = ''): string =>
  httpRoute(name, `{parentRefs: [{group: "", kind: Service, name: ${service}${port}}], rules: [${rules}]}`);
const to = (name: string, more = ''): string => `backendRefs: [{name: ${name}, port: 80${more}}]`;
const at = (type: string, value: string): string => `matches: [{path: {type: ${type}, value: ${value}}}]`;

export const gatewayApi: readonly MeshCase[] = [
  {
    name: 'a route without matches takes everything',
    source: `${page}#httproute`,
    from: 'gateway',
    resources: plain + onEdge('all', `{${to('details')}}`),
    requests: [ask('GET /', 'any.example.com', 'details-v1'), ask('GET /a/b?c', '10.1.1.1', 'details-v1')],
  },
  {
    name: 'a gateway without routes',
    source: `${page}#gateway`,
    from: 'gateway',
    resources: plain,
    requests: [ask('GET /', 'any.example.com', null, { status: 404 })],
  },
  {
    name: 'a prefix counts whole segments',
    source: `${page}#pathmatchtype`,
    from: 'gateway',
    resources:
      plain +
      onEdge(
        'shop',
        `{${at('PathPrefix', '/shop')}, ${to('details')}}, {${at('PathPrefix', '/old/')}, ${to('details')}}`,
      ),
    requests: [
      ask('GET /shop', 'a.example.com', 'details-v1'),
      ask('GET /shop/', 'a.example.com', 'details-v1'),
      ask('GET /shop/cart', 'a.example.com', 'details-v1'),
      ask('GET /shopping', 'a.example.com', null, { status: 404 }),
      ask('GET /old', 'a.example.com', 'details-v1'),
      ask('GET /old/one', 'a.example.com', 'details-v1'),
      ask('GET /older', 'a.example.com', null, { status: 404 }),
    ],
  },
  {
    name: 'exact before prefix, the longer prefix before the shorter, whatever their order',
    source: `${page}#httprouterule`,
    from: 'gateway',
    resources:
      plain +
      onEdge(
        'order',
        `{${at('PathPrefix', '/')}, ${to('ratings', ', weight: 1')}}, {${at('PathPrefix', '/a')}, ${to('reviews')}}, {${at('Exact', '/a/b')}, ${to('details')}}, {${at('PathPrefix', '/a/b')}, ${to('ratings')}}`,
      ) +
      dr('reviews', '{host: reviews}'),
    requests: [
      ask('GET /a/b', 'a.example.com', 'details-v1'),
      ask('GET /a/b/c', 'a.example.com', null, { shares: { 'ratings-v1': 0.5, 'ratings-v2': 0.5 } }),
    ],
  },
  {
    name: 'more headers before fewer, over all routes of a host',
    source: `${page}#httprouterule`,
    from: 'gateway',
    resources:
      plain +
      onEdge('one', `{matches: [{headers: [{name: version, value: two}]}], ${to('details')}}`) +
      onEdge(
        'two',
        `{matches: [{headers: [{name: version, value: two}, {name: Color, value: red}]}], filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301, hostname: red.example.com}}]}`,
      ),
    requests: [
      ask('GET /', 'a.example.com', 'details-v1', { headers: { version: 'two' } }),
      ask('GET /', 'a.example.com', null, {
        headers: { version: 'two', color: 'red' },
        status: 301,
        answer: { location: 'http://red.example.com/' },
      }),
      ask('GET /', 'a.example.com', null, { status: 404 }),
    ],
  },
  {
    name: 'methods, query parameters and regular expressions',
    source: `${page}#httproutematch`,
    from: 'gateway',
    resources:
      plain +
      onEdge(
        'matches',
        `{matches: [{method: POST}], ${to('details')}}, {matches: [{queryParams: [{name: animal, value: whale}]}], ${to('details')}}, {matches: [{queryParams: [{name: animal, type: RegularExpression, value: "d.*"}]}], ${to('details')}}, {${at('RegularExpression', '"/r/[0-9]+"')}, ${to('details')}}`,
      ),
    requests: [
      ask('POST /', 'a.example.com', 'details-v1'),
      ask('GET /?animal=whale', 'a.example.com', 'details-v1'),
      ask('GET /?animal=dolphin', 'a.example.com', 'details-v1'),
      ask('GET /?animal=cat', 'a.example.com', null, { status: 404 }),
      ask('GET /r/12', 'a.example.com', 'details-v1'),
      ask('GET /r/x', 'a.example.com', null, { status: 404 }),
    ],
  },
  {
    name: 'hostnames of listener and route meet',
    source: `${page}#hostname`,
    from: 'gateway',
    resources:
      edge('{name: wild, port: 80, protocol: HTTP, hostname: "*.example.com"}') +
      onEdge('a', `{${to('details')}}`, 'hostnames: [a.example.com, a.example.org], ') +
      onEdge('b', `{${to('details')}}`, 'hostnames: ["*.b.example.com"], '),
    requests: [
      ask('GET /', 'a.example.com', 'details-v1'),
      ask('GET /', 'a.example.org', null, { status: 404 }),
      ask('GET /', 'x.b.example.com', 'details-v1'),
      ask('GET /', 'b.example.com', null, { status: 404 }),
      ask('GET /', 'c.example.com', null, { status: 404 }),
    ],
  },
  {
    name: 'the narrower listener has its hosts alone',
    source: `${page}#gatewayspec`,
    from: 'gateway',
    resources:
      edge(
        '{name: all, port: 80, protocol: HTTP}, {name: wild, port: 80, protocol: HTTP, hostname: "*.example.com"}, {name: one, port: 80, protocol: HTTP, hostname: one.example.com}',
      ) +
      httpRoute(
        'all',
        `{parentRefs: [{name: edge, sectionName: all}], rules: [{${at('PathPrefix', '/all')}, ${to('details')}}]}`,
      ) +
      httpRoute(
        'wild',
        `{parentRefs: [{name: edge, sectionName: wild}], rules: [{${at('PathPrefix', '/wild')}, ${to('details')}}]}`,
      ),
    requests: [
      ask('GET /all', 'other.org', 'details-v1'),
      ask('GET /wild', 'two.example.com', 'details-v1'),
      ask('GET /all', 'two.example.com', null, { status: 404 }),
      ask('GET /wild', 'one.example.com', null, { status: 404 }),
      ask('GET /all', 'one.example.com', null, { status: 404 }),
    ],
  },
  {
    name: 'headers set, added and removed, on the way there and back',
    source: `${page}#httpheaderfilter`,
    from: 'gateway',
    resources:
      plain +
      onEdge(
        'headers',
        `{filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-set, value: new}], add: [{name: x-add, value: more}], remove: [x-remove]}}, {type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: x-answer, value: "yes"}]}}], ${to('details')}}`,
      ),
    requests: [
      ask('GET /', 'a.example.com', 'details-v1', {
        headers: { 'x-set': 'old', 'x-add': 'one', 'x-remove': 'gone' },
        seen: { 'x-set': 'new', 'x-remove': null },
        answer: { 'x-answer': 'yes' },
      }),
    ],
  },
  {
    name: 'headers for one backend',
    source: `${page}#httpbackendref`,
    from: 'gateway',
    resources:
      plain +
      onEdge(
        'backend',
        `{backendRefs: [{name: details, port: 80, filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x-to, value: details}]}}]}]}`,
      ),
    requests: [ask('GET /', 'a.example.com', 'details-v1', { seen: { 'x-to': 'details' } })],
  },
  {
    name: 'redirects: status, host, scheme and port',
    source: `${page}#httprequestredirectfilter`,
    from: 'gateway',
    resources:
      plain +
      onEdge(
        'redirects',
        `{${at('PathPrefix', '/host')}, filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example.com}}]}, {${at('PathPrefix', '/scheme')}, filters: [{type: RequestRedirect, requestRedirect: {scheme: https, statusCode: 301}}]}, {${at('PathPrefix', '/port')}, filters: [{type: RequestRedirect, requestRedirect: {port: 8083}}]}, {${at('PathPrefix', '/both')}, filters: [{type: RequestRedirect, requestRedirect: {scheme: https, port: 8443, statusCode: 307}}]}`,
      ),
    requests: [
      ask('GET /host/a?b', 'a.example.com', null, {
        status: 302,
        answer: { location: 'http://new.example.com/host/a?b' },
      }),
      ask('GET /scheme', 'a.example.com', null, { status: 301, answer: { location: 'https://a.example.com/scheme' } }),
      ask('GET /port', 'a.example.com', null, { status: 302, answer: { location: 'http://a.example.com:8083/port' } }),
      ask('GET /both', 'a.example.com', null, { status: 307, answer: { location: 'https://a.example.com:8443/both' } }),
    ],
  },
  {
    name: 'redirects: whole paths and prefixes',
    source: `${page}#httppathmodifier`,
    from: 'gateway',
    resources:
      plain +
      onEdge(
        'paths',
        `{${at('PathPrefix', '/from')}, filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /to}}}]}, {${at('PathPrefix', '/full')}, filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /whole}}}]}, {${at('PathPrefix', '/away')}, filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplacePrefixMatch, replacePrefixMatch: /}}}]}`,
      ),
    requests: [
      ask('GET /from/a', 'a.example.com', null, { status: 302, answer: { location: 'http://a.example.com/to/a' } }),
      ask('GET /full/a', 'a.example.com', null, { status: 302, answer: { location: 'http://a.example.com/whole' } }),
      ask('GET /away/a', 'a.example.com', null, { status: 302, answer: { location: 'http://a.example.com/a' } }),
      ask('GET /away', 'a.example.com', null, { status: 302, answer: { location: 'http://a.example.com/' } }),
    ],
  },
  {
    name: 'rewrites: the table of the specification',
    source: `${page}#httppathmodifier`,
    from: 'gateway',
    resources:
      plain +
      onEdge(
        'rewrites',
        ['/xyz', '/xyz/', '""', '/']
          .map(
            (to_, i) =>
              `{matches: [{path: {type: PathPrefix, value: /foo}, headers: [{name: row, value: "${i}"}]}], filters: [{type: URLRewrite, urlRewrite: {path: {type: ReplacePrefixMatch, replacePrefixMatch: ${to_}}}}], ${to('details')}}`,
          )
          .join(', '),
      ),
    requests: (
      [
        ['/foo/bar', '0', '/xyz/bar'],
        ['/foo/bar', '1', '/xyz/bar'],
        ['/foo', '0', '/xyz'],
        ['/foo/', '0', '/xyz/'],
        ['/foo/bar', '2', '/bar'],
        ['/foo/', '2', '/'],
        ['/foo', '2', '/'],
        ['/foo/bar', '3', '/bar'],
        ['/foo', '3', '/'],
        ['/foo?q=1', '3', '/?q=1'],
      ] as const
    ).map(([path, row, seen]) =>
      ask(`GET ${path}`, 'a.example.com', 'details-v1', { headers: { row }, seen: { ':path': seen } }),
    ),
  },
  {
    name: 'rewrites: whole path and host',
    source: `${page}#httpurlrewritefilter`,
    from: 'gateway',
    resources:
      plain +
      onEdge(
        'rewrites',
        `{filters: [{type: URLRewrite, urlRewrite: {hostname: new.example.com, path: {type: ReplaceFullPath, replaceFullPath: /one}}}], ${to('details')}}`,
      ),
    requests: [ask('GET /a/b', 'a.example.com', 'details-v1', { seen: { ':path': '/one', host: 'new.example.com' } })],
  },
  {
    name: 'weights, and nothing for a weight of 0',
    source: `${page}#httpbackendref`,
    from: 'gateway',
    resources:
      plain +
      onEdge(
        'weights',
        `{backendRefs: [{name: details, port: 80, weight: 3}, {name: ratings, port: 80, weight: 0}, {name: cart, namespace: other, port: 80, weight: 1}]}`,
      ) +
      grant(
        'other/from-shop',
        '{from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}], to: [{group: "", kind: Service}]}',
      ),
    requests: [ask('GET /', 'a.example.com', null, { shares: { 'details-v1': 0.75, 'cart-v1': 0.25 } })],
  },
  {
    name: 'another namespace without a grant: 500',
    source: `${page}#referencegrant`,
    from: 'gateway',
    resources: plain + onEdge('cart', '{backendRefs: [{name: cart, namespace: other, port: 80}]}'),
    requests: [ask('GET /', 'a.example.com', null, { status: 500 })],
  },
  {
    name: 'no backend, an unknown one, an unknown kind: 500',
    source: `${page}#httprouterule`,
    from: 'gateway',
    resources:
      plain +
      onEdge(
        'none',
        `{${at('PathPrefix', '/none')}}, {${at('PathPrefix', '/unknown')}, ${to('nobody')}}, {${at('PathPrefix', '/kind')}, backendRefs: [{group: example.com, kind: Thing, name: x}]}`,
      ),
    requests: [
      ask('GET /none', 'a.example.com', null, { status: 500 }),
      ask('GET /unknown', 'a.example.com', null, { status: 500 }),
      ask('GET /kind', 'a.example.com', null, { status: 500 }),
    ],
  },
  {
    name: 'a copy to another backend',
    source: `${page}#httprequestmirrorfilter`,
    from: 'gateway',
    resources:
      plain +
      onEdge(
        'copy',
        `{filters: [{type: RequestMirror, requestMirror: {backendRef: {name: cart, namespace: other, port: 80}}}], ${to('details')}}`,
      ) +
      grant(
        'other/from-shop',
        '{from: [{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: shop}], to: [{group: "", kind: Service, name: cart}]}',
      ),
    requests: [ask('GET /', 'a.example.com', 'details-v1', { mirrored: 'cart-v1' })],
  },
  {
    name: 'routes of another namespace only where the listener lets them',
    source: `${page}#allowedroutes`,
    from: 'gateway',
    resources:
      plain + httpRoute('other/cart', `{parentRefs: [{name: edge, namespace: shop}], rules: [{${to('cart')}}]}`),
    requests: [ask('GET /', 'a.example.com', null, { status: 404 })],
  },
  {
    name: 'routes of all namespaces',
    source: `${page}#allowedroutes`,
    from: 'gateway',
    resources:
      edge('{name: http, port: 80, protocol: HTTP, allowedRoutes: {namespaces: {from: All}}}') +
      httpRoute('other/cart', `{parentRefs: [{name: edge, namespace: shop}], rules: [{${to('cart')}}]}`),
    requests: [ask('GET /', 'a.example.com', 'cart-v1')],
  },
  {
    name: 'a gRPC route by service and method',
    source: `${page}#grpcroutematch`,
    from: 'gateway',
    resources:
      plain +
      grpcRoute(
        'calls',
        `{parentRefs: [{name: edge}], rules: [{matches: [{method: {service: shop.Details, method: Get}}, {method: {service: shop.Other}}, {method: {method: Ping}}], ${to('details')}}]}`,
      ),
    requests: [
      ask('POST /shop.Details/Get', 'a.example.com', 'details-v1'),
      ask('POST /shop.Details/Put', 'a.example.com', null, { status: 404 }),
      ask('POST /shop.Other/Any', 'a.example.com', 'details-v1'),
      ask('POST /any.Thing/Ping', 'a.example.com', 'details-v1'),
    ],
  },
  {
    name: 'callers of a Service (GAMMA)',
    source: mesh,
    resources: forCallers(
      'reviews',
      'reviews',
      `{matches: [{headers: [{name: who, value: jason}]}], ${to('details')}}, {${at('PathPrefix', '/ratings')}, filters: [{type: RequestRedirect, requestRedirect: {hostname: r.example.com}}]}`,
    ),
    requests: [
      ask('GET /', 'reviews', 'details-v1', { headers: { who: 'jason' } }),
      ask('GET /ratings', 'reviews', null, { status: 302, answer: { location: 'http://r.example.com/ratings' } }),
      ask('GET /', 'reviews', null, { status: 404 }),
    ],
  },
  {
    name: 'callers of one port of a Service',
    source: mesh,
    resources: forCallers(
      'details',
      'details',
      `{${to('details')}, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: routed, value: "yes"}]}}]}`,
      ', port: 80',
    ),
    requests: [ask('GET /', 'details', 'details-v1', { answer: { routed: 'yes' } })],
  },
  {
    name: 'a route of a caller’s namespace is for that namespace, and before the Service’s own',
    source: mesh,
    namespace: 'other',
    resources:
      forCallers(
        'own',
        'details',
        `{${to('details')}, filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: by, value: producer}]}}]}`,
      ) +
      httpRoute(
        'other/consumer',
        `{parentRefs: [{group: "", kind: Service, name: details, namespace: shop}], rules: [{backendRefs: [{name: cart, port: 80}], filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: by, value: consumer}]}}]}]}`,
      ),
    requests: [ask('GET /', 'details.shop', 'cart-v1', { answer: { by: 'consumer' } })],
  },
  {
    name: 'a route of another caller’s namespace is not for this one',
    source: mesh,
    resources: httpRoute(
      'other/consumer',
      `{parentRefs: [{group: "", kind: Service, name: details, namespace: shop}], rules: [{backendRefs: [{name: cart, port: 80}]}]}`,
    ),
    requests: [ask('GET /', 'details', 'details-v1')],
  },
];
