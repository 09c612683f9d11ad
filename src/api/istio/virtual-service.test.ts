import { type Row, table } from '../testing/validation-table.ts';

const route = [{ destination: { host: 'reviews' } }];
const to = (http: object, more: object = {}) => ({ hosts: ['reviews'], http: [{ route, ...http }], ...more });
const only = (http: object) => ({ hosts: ['reviews'], http: [http] });

const rows: Row[] = [
  ['the least', to({}), []],
  ['nothing', {}, [': needs one of http, tls and tcp']],
  ['a delegate', { http: [{ route }] }, []],
  [
    'a delegate that is none',
    { http: [{ delegate: { name: 'x' } }], gateways: ['g'] },
    [
      'gateways: cannot be set in a VirtualService that has no hosts (a delegate)',
      'http[0].delegate: cannot be set in a VirtualService that has no hosts: a delegate does not delegate',
    ],
  ],

  [
    'host with an underscore',
    to({}, { hosts: ['a_b'] }),
    ['hosts[0]: is no host name: "a_b" in "a_b" is neither a DNS label nor a wildcard'],
  ],
  ['host that ends in a number', to({}, { hosts: ['a.5'] }), ['hosts[0]: is no host name: "a.5" ends in a number']],
  ['host that is an address', to({}, { hosts: ['10.0.0.1', '::1'] }), []],
  [
    'any host in the mesh',
    to({}, { hosts: ['*'] }),
    ['hosts[0]: must not be "*" for traffic inside the mesh; name hosts, or gateways without "mesh"'],
  ],
  ['any host at a gateway', to({}, { hosts: ['*'], gateways: ['web'] }), []],
  [
    'hosts that overlap',
    to({}, { hosts: ['*.a.com', 'x.a.com', 'b'] }),
    ['hosts[1]: "x.a.com" and "*.a.com" stand for the same hosts'],
  ],
  [
    'gateway names',
    to({}, { hosts: ['a.com'], gateways: ['mesh', 'shop/web', 'a/b/c', 'web.shop.svc'] }),
    ['gateways[2]: must be NAMESPACE/NAME, is "a/b/c"', 'warning gateways[3]: is in an old form; write "shop/web"'],
  ],
  [
    'exportTo',
    to({}, { exportTo: ['.', 'shop', 'A b', '~'] }),
    [
      'exportTo[1]: "shop" and "." are the same namespace',
      'exportTo[2]: must be ".", "*" or a namespace, is "A b"',
      'exportTo[3]: "~" (no one) is only for a ServiceEntry; use "." for the own namespace',
      'exportTo[3]: "~" must be the only entry',
    ],
  ],
  ['exportTo everyone and someone', to({}, { exportTo: ['*', 'a'] }), ['exportTo[0]: "*" must be the only entry']],

  [
    'a route that does nothing',
    only({ match: [{ uri: { exact: '/' } }] }),
    ['http[0]: needs one of route, redirect, directResponse and delegate'],
  ],
  ['route and redirect', to({ redirect: { uri: '/x' } }), ['http[0].route: cannot be set together with redirect']],
  [
    'redirect with fault and rewrite',
    only({ redirect: { uri: '/x' }, fault: { abort: { httpStatus: 500 } }, rewrite: { uri: '/' } }),
    ['http[0].fault: cannot be set together with redirect', 'http[0].rewrite: cannot be set together with redirect'],
  ],
  [
    'redirect and response',
    only({ redirect: { uri: '/x' }, directResponse: { status: 200 } }),
    ['http[0].directResponse: cannot be set together with redirect'],
  ],
  [
    'response and route',
    to({ directResponse: { status: 200 } }),
    ['http[0].route: cannot be set together with directResponse'],
  ],
  ['delegate and route', to({ delegate: { name: 'd' } }), ['http[0].route: cannot be set together with delegate']],
  [
    'redirect that does nothing',
    only({ redirect: {} }),
    ['http[0].redirect: needs one of uri, prefixRewrite, authority, scheme, port and derivePort'],
  ],
  [
    'redirect by two ways',
    only({
      match: [{ uri: { exact: '/' } }],
      redirect: { uri: '/a', prefixRewrite: '/b', redirectCode: 200, scheme: 'ftp' },
    }),
    [
      'http[0].redirect.prefixRewrite: cannot be set together with uri',
      'http[0].redirect.prefixRewrite: needs every match of the route that has a uri to match it by prefix',
      'http[0].redirect.redirectCode: must be 300–399, is 200',
      'http[0].redirect.scheme: must be http or https, is "ftp"',
    ],
  ],
  [
    'redirect to two ports',
    only({ redirect: { port: 80, derivePort: 'FROM_REQUEST_PORT' } }),
    ['http[0].redirect.derivePort: cannot be set together with port; choose one of port, derivePort'],
  ],
  [
    'response status',
    only({ directResponse: { status: 99, body: { string: 'a', bytes: 'aGk=' } } }),
    [
      'http[0].directResponse.body.bytes: cannot be set together with string; choose one of string, bytes',
      'http[0].directResponse.status: must be 200–599, is 99',
    ],
  ],
  [
    'response body',
    only({ directResponse: { status: 200, body: { string: 'x'.repeat(200_000) } } }),
    ['warning http[0].directResponse.body: of 200000 bytes is sent to every proxy that has the route'],
  ],
  [
    'response body beyond sense',
    only({ directResponse: { status: 200, body: { string: 'x'.repeat(1_048_577) } } }),
    ['http[0].directResponse.body: must have at most 1 MiB, has 1048577 bytes'],
  ],

  [
    'destination',
    only({
      route: [
        { destination: { host: '*', subset: 'V_1', port: { number: 0 } } },
        { destination: { host: '', port: {} }, weight: -1 },
      ],
    }),
    [
      'http[0].route[0].destination.port.number: must be 1–65535, is 0',
      'http[0].route[0].destination.host: must be one host, is "*"',
      'http[0].route[0].destination.subset: must be a DNS label, is "V_1"',
      'http[0].route[1].destination.host: must not be empty',
      'http[0].route[1].destination.port.number: is required',
      'http[0].route[1].weight: must not be negative, is -1',
    ],
  ],
  [
    'weights of nothing',
    only({ route: [...route, ...route] }),
    ['http[0].route: needs a weight above 0 on at least one of its destinations'],
  ],
  [
    'weights need not add up to 100',
    only({
      route: [
        { ...route[0], weight: 1 },
        { ...route[0], weight: 2 },
      ],
    }),
    [],
  ],

  [
    'matches',
    to({
      match: [
        {
          headers: { 'x user': { exact: 'a' }, ':path': { prefix: '' }, ok: {} },
          withoutHeaders: { a: { regex: '*' }, b: { regex: '*' } },
          uri: { prefix: '' },
          method: { regex: '' },
          queryParams: { q: { regex: '(' } },
          sourceLabels: { 'a b': 'c/d' },
          sourceNamespace: 'A/b',
          port: 70_000,
        },
      ],
    }),
    [
      'http[0].match[0].port: must be 1–65535, is 70000',
      'http[0].match[0].headers["x user"]: "x user" is not a header name',
      'http[0].match[0].headers[":path"].prefix: must not be empty',
      'http[0].match[0].queryParams.q.regex: is no RE2 regular expression: error parsing regexp: missing closing ): `(`',
      'http[0].match[0].method.regex: must not be empty',
      'http[0].match[0].sourceLabels["a b"]: is not a key that a label can have',
      'http[0].match[0].sourceLabels["a b"]: "c/d" is not a value that a label can have',
      'http[0].match[0].sourceNamespace: must be a namespace, is "A/b"',
    ],
  ],
  [
    'two ways to match',
    to({ match: [{ uri: { exact: '/', prefix: '/' } }] }),
    ['http[0].match[0].uri.prefix: cannot be set together with exact; choose one of exact, prefix, regex'],
  ],
  [
    'claims in the mesh',
    to({ match: [{ headers: { '@request.auth.claims.group': { exact: 'a' } } }] }),
    [
      'http[0].match[0].headers["@request.auth.claims.group"]: routes by a token, which only gateways can; name gateways without "mesh"',
    ],
  ],
  [
    'claims at a gateway',
    to({ match: [{ headers: { '@request.auth.claims.group': { exact: 'a' } } }] }, { gateways: ['web'] }),
    [],
  ],

  [
    'header changes',
    to({
      headers: {
        request: {
          set: { Host: 'a', ':path': '/', 'x y': 'a' },
          add: { a: '%X', b: '100%%', c: '%REQ(X)%', d: 'a\u0000' },
          remove: ['host'],
        },
        response: { set: { ':status': '1' } },
      },
    }),
    [
      'http[0].headers.request.add.a: has a "%" that begins no %COMMAND%; write "%%" for the sign itself, is "%X"',
      'http[0].headers.request.add.d: must not hold control characters',
      'http[0].headers.request.set[":path"]: headers that begin with ":" cannot be changed',
      'http[0].headers.request.set["x y"]: "x y" is not a header name',
      'http[0].headers.request.remove[0]: the Host header cannot be changed here; use rewrite.authority',
      'http[0].headers.response.set[":status"]: headers that begin with ":" cannot be changed',
    ],
  ],
  [
    'authority twice',
    to({ rewrite: { authority: 'a' }, headers: { request: { set: { host: 'b' } } } }),
    ['http[0].headers.request.set.host: sets the authority a second time'],
  ],
  ['rewrite', to({ rewrite: {} }), ['http[0].rewrite: needs one of uri, uriRegexRewrite and authority']],
  [
    'rewrite by two ways',
    to({ rewrite: { uri: '/', uriRegexRewrite: { match: '(' } } }),
    [
      'http[0].rewrite.uriRegexRewrite: cannot be set together with uri',
      'http[0].rewrite.uriRegexRewrite.rewrite: is required',
      'http[0].rewrite.uriRegexRewrite.match: is no RE2 regular expression: error parsing regexp: missing closing ): `(`',
    ],
  ],

  [
    'fault',
    to({
      fault: {
        delay: { percentage: { value: 100 }, fixedDelay: '7s' },
        abort: { httpStatus: 500, percentage: { value: 0.1 } },
      },
    }),
    [],
  ],
  ['fault without any', to({ fault: {} }), ['http[0].fault: needs an abort, a delay or both']],
  [
    'fault percentages',
    to({
      fault: {
        delay: { percentage: { value: 101 }, fixedDelay: '7s' },
        abort: { httpStatus: 500, percentage: { value: 0.00001 } },
      },
    }),
    [
      'http[0].fault.delay.percentage.value: must be 0–100, is 101',
      'http[0].fault.abort.percentage.value: must be 0 or 0.0001–100, is 0.00001',
    ],
  ],
  [
    'fault status',
    to({ fault: { abort: { httpStatus: 600 } } }),
    ['http[0].fault.abort.httpStatus: must be 200–599, is 600'],
  ],
  [
    'fault gRPC status',
    to({ fault: { abort: { grpcStatus: 'NOPE' } } }),
    ['http[0].fault.abort.grpcStatus: must be the name of a gRPC status such as UNAVAILABLE, is "NOPE"'],
  ],
  [
    'fault HTTP/2',
    to({ fault: { abort: { http2Error: 'x' }, delay: { exponentialDelay: '1s' } } }),
    [
      'http[0].fault.abort.http2Error: is not supported; use httpStatus or grpcStatus',
      'http[0].fault.delay.exponentialDelay: is not supported; use fixedDelay',
    ],
  ],
  [
    'faults that do nothing',
    to({ fault: { abort: {}, delay: { percent: 200 } } }),
    [
      'http[0].fault.delay.percent: must be 0–100, is 200',
      'warning http[0].fault.abort: aborts nothing without httpStatus or grpcStatus',
      'warning http[0].fault.delay.percent: is deprecated; use percentage',
      'warning http[0].fault.delay: delays nothing without fixedDelay',
    ],
  ],

  ['timeout', to({ timeout: '0s' }), ['http[0].timeout: must be a duration of at least 1ms, such as 5s, is "0s"']],
  [
    'timeout in words',
    to({ timeout: 'soon' }),
    ['http[0].timeout: must be a duration of at least 1ms, such as 5s, is "soon"'],
  ],
  ['timeout too fine', to({ timeout: '1.0005s' }), ['http[0].timeout: must be whole milliseconds, is "1.0005s"']],
  ['retries', to({ retries: { attempts: 3, perTryTimeout: '2s', retryOn: '5xx,connect-failure,503' } }), []],
  ['retries switched off', to({ retries: { attempts: 0 } }), []],
  [
    'retries of nothing',
    to({ retries: { perTryTimeout: '2s', retryOn: '5xx' } }),
    [
      'http[0].retries.perTryTimeout: has no meaning with 0 attempts',
      'http[0].retries.retryOn: has no meaning with 0 attempts',
    ],
  ],
  [
    'retry conditions',
    to({ retries: { attempts: -1, retryOn: '5xx,oops,99' } }),
    [
      'http[0].retries.attempts: must not be negative, is -1',
      'http[0].retries.retryOn: "oops" is not a retry condition',
      'http[0].retries.retryOn: "99" is not a retry condition',
    ],
  ],
  [
    'mirrors',
    to({
      mirror: { host: 'a' },
      mirrors: [{ destination: { host: '*' }, percentage: { value: -1 } }],
      mirrorPercent: 101,
    }),
    [
      'http[0].mirrors[0].percentage.value: must be 0–100, is -1',
      'http[0].mirror: cannot be set together with mirrors',
      'http[0].mirrors[0].destination.host: must be one host, is "*"',
      'http[0].mirrorPercent: must be 0–100, is 101',
      'warning http[0].mirrorPercent: is deprecated; use mirrorPercentage',
    ],
  ],
  [
    'CORS',
    to({
      corsPolicy: {
        allowOrigins: [{}, { regex: '(' }],
        allowMethods: ['GET', 'GTE'],
        allowHeaders: ['*', 'a b'],
        maxAge: '1500ms',
      },
    }),
    [
      'http[0].corsPolicy.allowOrigins[0]: needs exact, prefix or regex',
      'http[0].corsPolicy.allowOrigins[1].regex: is no RE2 regular expression: error parsing regexp: missing closing ): `(`',
      'http[0].corsPolicy.allowMethods[1]: must be one of GET, HEAD, POST, PUT, PATCH, DELETE, CONNECT, OPTIONS, TRACE, *, is "GTE"',
      'http[0].corsPolicy.allowHeaders[1]: "a b" is not a header name',
      'http[0].corsPolicy.maxAge: must be whole seconds, is 1.5s',
    ],
  ],

  [
    'after a catch-all',
    { hosts: ['a'], http: [{ name: 'all', route }, { route }] },
    ['warning http[1]: is never reached: route "all" before it takes everything'],
  ],
  [
    'a match again',
    {
      hosts: ['a'],
      http: [
        { match: [{ uri: { exact: '/' }, port: 1 }], route },
        { match: [{ name: 'again', port: 1, uri: { exact: '/' } }], route },
      ],
    },
    [
      'warning http[1].match[0]: is never reached: route 0 has the same match',
      'warning http[1]: is never reached: earlier routes have all its matches',
    ],
  ],
  [
    'a longer prefix later',
    {
      hosts: ['a'],
      http: [
        { match: [{ uri: { prefix: '/a' } }], route },
        { match: [{ uri: { prefix: '/ab' } }], route },
      ],
    },
    ['warning http[1].match[0].uri.prefix: is never reached: route 0 takes every path that begins with "/a"'],
  ],
  [
    'a longer prefix later, but the first asks for more',
    {
      hosts: ['a'],
      http: [
        { match: [{ uri: { prefix: '/a' }, method: { exact: 'GET' } }], route },
        { match: [{ uri: { prefix: '/ab' } }], route },
      ],
    },
    [],
  ],

  [
    'tcp',
    { hosts: ['a'], tcp: [{ match: [{ port: 27_017, destinationSubnets: ['10.0.0.0/8', '10.0.0.1/33'] }], route }] },
    ['tcp[0].match[0].destinationSubnets[1]: must be an address or a block such as 10.0.0.0/8, is "10.0.0.1/33"'],
  ],
  ['tcp to nowhere', { hosts: ['a'], tcp: [{}] }, ['tcp[0].route: is required']],
  ['tls', { hosts: ['*.a.com'], tls: [{ match: [{ port: 443, sniHosts: ['x.a.com'] }], route }] }, []],
  [
    'tls for another host',
    { hosts: ['*.a.com'], tls: [{ match: [{ sniHosts: ['b.com', '10.0.0.1'] }, { sniHosts: [] }] }] },
    [
      'tls[0].match[0].sniHosts[0]: "b.com" is none of the VirtualService\'s hosts (*.a.com)',
      'tls[0].match[1].sniHosts: must not be empty',
      'tls[0].route: is required',
      'warning tls[0].match[0].sniHosts[1]: is an address, which clients do not send as SNI (RFC 6066 §3)',
    ],
  ],
  [
    'a bad route does not hide the others',
    { hosts: ['a'], http: [{ route: [{}] }, {}] },
    ['http[0].route[0].destination: is required', 'http[1]: needs one of route, redirect, directResponse and delegate'],
  ],
];

table('networking.istio.io/v1', 'VirtualService', rows);
