import test from 'ava';
import fc from 'fast-check';
import type { Exchange, TcpSession } from '../http/exchange.ts';
import { textFormat } from './format.ts';
import { jsonFormat } from './json-format.ts';
import { timeFormat } from './start-time.ts';

const connection = {
  id: 7,
  remote: { ip: '10.0.0.1', port: 1234 },
  socketRemote: { ip: '10.0.0.1', port: 1234 },
  local: { ip: 'fd00::9', port: 80 },
  socketLocal: { ip: '127.0.0.1', port: 15006 },
  listener: 'virtualInbound',
  filterChain: 'chain',
  direction: 'inbound',
  tls: true,
  mtls: true,
  peer: { principal: 'spiffe://a', uriSans: ['spiffe://a'], dnsSans: [], subject: 'CN=x', fingerprint: 'ab' },
  sni: 'shop',
  offeredAlpn: [],
  alpn: '',
  tlsVersion: 'TLSv1.3',
  tlsCipher: 'TLS_AES_128_GCM_SHA256',
  acceptedAtMs: 0,
} as const;

const headers: Record<string, string> = {
  'user-agent': 'curl',
  ':method': 'GET',
  ':path': '/new?q=%20x&r=1',
  'x-envoy-original-path': '/old?q=1',
  'x-text': 'a"b\\c\té'.replace('é', '\u00c3\u00a9'),
  ':authority': 'shop',
};
const exchange = {
  manager: {},
  connection,
  protocol: 'HTTP/1.1',
  startedAtMs: Date.UTC(2026, 0, 31, 9, 5, 7, 42),
  startTick: 100,
  requestEndTick: 101,
  upstreamFirstByteTick: 110,
  upstreamEndTick: 111,
  endTick: 112.4,
  originalPath: '/old?q=1',
  path: '/new',
  header: (name: string) => headers[name] ?? null,
  sentHeader: (name: string) => headers[name] ?? null,
  listener: { metadata: null },
  client: { ip: '192.0.2.1', port: 0 },
  requestBodyBytes: 1,
  responseBodyBytes: 2,
  requestHeaderBytes: 3,
  responseHeaderBytes: 4,
  status: 503,
  flags: 'UF,URX',
  details: 'upstream_reset{remote reset}',
  upstreamFailure: 'a b',
  virtualHost: null,
  route: null,
  cluster: { name: 'outbound|80||shop', altStatName: '', metadata: { a: { n: { y: [1, true, 'x'], b: 2.5 } } } },
  endpoint: null,
  upstreamRemote: { ip: '10.0.0.2', port: 8080 },
  upstreamLocal: null,
  attempts: 3,
  responseHeader: (name: string) => (name === 'x-envoy-upstream-service-time' ? '9' : null),
  responseTrailer: () => null,
} as unknown as Exchange;

const session = {
  connection,
  cluster: null,
  startedAtMs: 0,
  startTick: 0,
  endTick: 5,
  receivedBytes: 10,
  sentBytes: 20,
  flags: '',
  details: 'rbac_access_denied_matched_policy[a]',
  upstreamFailure: '',
  upstreamRemote: null,
  upstreamLocal: null,
} as unknown as TcpSession;

const istio =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% %CONNECTION_TERMINATION_DETAILS% "%UPSTREAM_TRANSPORT_FAILURE_REASON%" %BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" "%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%" %UPSTREAM_CLUSTER_RAW% %UPSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS% %REQUESTED_SERVER_NAME% %ROUTE_NAME%\n';

test("Istio's default line of a request and of a connection", (t) => {
  const line = textFormat(istio, '-');
  t.is(
    line(exchange),
    '[2026-01-31T09:05:07.042Z] "GET /old?q=1 HTTP/1.1" 503 UF,URX upstream_reset{remote_reset} - "a_b" 1 2 12 9 "-" "curl" "-" "shop" "10.0.0.2:8080" outbound|80||shop - [fd00::9]:80 192.0.2.1:0 shop -\n',
  );
  t.is(
    line(session),
    '[1970-01-01T00:00:00.000Z] "- - -" 0 - - rbac_access_denied_matched_policy[a] "-" 10 20 5 - "-" "-" "-" "-" "-" - - [fd00::9]:80 10.0.0.1:1234 shop -\n',
  );
});

test('operators with arguments, lengths and literal percent signs', (t) => {
  const value = (format: string) => textFormat(format, '-')(exchange);
  t.is(value('%REQ(USER-AGENT):2%|100%%'), 'cu|100%');
  t.is(value('%START_TIME(%Y/%m/%d %H:%M:%S.%3f %s)%'), '2026/01/31 09:05:07.042 1769850307');
  t.is(value('%RESPONSE_FLAGS_LONG%'), 'UpstreamConnectionFailure,UpstreamRetryLimitExceeded');
  t.is(
    value('%DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DYNAMIC_METADATA(a:b)%'),
    'spiffe://a 192.0.2.1 -',
  );
  t.throws(() => textFormat('%NO_SUCH%', '-'), { message: /%NO_SUCH% is not a command operator/ });
  t.throws(() => textFormat('100% sure', '-'), { message: /begins no command operator/ });
  t.throws(() => timeFormat('%Y%n'), { message: /line break/ });
});

test('paths, queries, masks and metadata', (t) => {
  const value = (format: string) => textFormat(format, '-', true)(exchange);
  t.is(value('%PATH% %PATH(NQ)% %PATH(WQ:PATH)% %PATH(NQ:PATH):3%'), '/old?q=1 /old /new?q=%20x&r=1 /ne');
  t.is(value('%QUERY_PARAM(q)% %QUERY_PARAM(z)% %QUERY_PARAMS%'), '1 - q=1');
  t.is(
    value('%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(20)% %DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(12)%'),
    '192.0.0.0/20 fd00::/12',
  );
  t.is(
    value('%CLUSTER_METADATA(a:n)% %CLUSTER_METADATA(a:n:y:0)% %METADATA(CLUSTER:a:n:b)%'),
    '{"b":2.5,"y":[1,true,"x"]} - 2.5',
  );
  t.is(value('%REQ(x-text)%'), 'a"b\\c\té');
  t.is(
    value('%COALESCE({"operators": ["ROUTE_NAME", {"command": "REQ", "param": "user-agent", "max_length": 3}]})%'),
    'cur',
  );
});

test('what Envoy refuses is refused, with the operator in the message', (t) => {
  const cases: Array<[string, RegExp]> = [
    ['%DURATION(x)%', /%DURATION\(x\)% takes no argument/],
    ['%DURATION:5%', /%DURATION:5% takes no length/],
    ['%REQ%', /%REQ% needs an argument/],
    ['%REQ()%', /%REQ\(\)% needs an argument/],
    ['%REQ(a?b?c)%', /more than one alternative/],
    ['%GRPC_STATUS(X)%', /X is none of CAMEL_STRING/],
    ['%PATH(A)%', /A is none of WQ, NQ/],
    ['%COMMON_DURATION(a)%', /is not START:END/],
    ['%METADATA(NOPE:x)%', /NOPE is none of DYNAMIC/],
    ['%FILTER_STATE(k:X)%', /X is none of PLAIN/],
    ['%REQUESTED_SERVER_NAME(FOO)%', /FOO is none of SNI_ONLY/],
    ['%ENVIRONMENT%', /needs an argument/],
    ['%CLUSTER_METADATA(a):5%', /takes no length/],
  ];
  for (const [format, message] of cases) t.throws(() => textFormat(format, '-'), { message }, format);
});

test('durations are whole milliseconds, or what was asked for', (t) => {
  const value = (format: string) => textFormat(format, '-')(exchange);
  t.is(
    value('%DURATION% %REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION% %ROUNDTRIP_DURATION%'),
    '12 1 10 2 -',
  );
  t.is(
    value('%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)% %COMMON_DURATION(US_RX_BEG:US_RX_END)% %COMMON_DURATION(x:y:ns)%'),
    '12400 1 -',
  );
});

test('strftime in UTC', (t) => {
  const at = (pattern: string) => timeFormat(pattern)(Date.UTC(2026, 10, 6, 0, 3, 35, 851));
  t.is(at('%Y/%m/%d %H:%M:%S.%3f %z %Z %a %b %j'), '2026/11/06 00:03:35.851 +0000 UTC Fri Nov 310');
  t.is(
    at('%e %I %p %l %y %C %u %w %U %W %V %G %E3S %6f %3s %D %R'),
    ' 6 12 AM 12 26 20 5 5 44 44 45 2026 35.851 851000 1793923415851 11/06/26 00:03',
  );
  t.is(at('%q%%'), '%q%');
});

test('JSON keeps the type of a lone operator, orders names and nulls what is missing', (t) => {
  const format = {
    text: 'x %RESPONSE_CODE%',
    code: '%RESPONSE_CODE%',
    route: '%ROUTE_NAME%',
    nested: { b: '%BYTES_SENT%', a: ['%ROUTE_NAME%', 1, true] },
    odd: '%REQ(x-text)%',
    plain: 3,
    part: 1.5,
    two: '%ROUTE_NAME% %ROUTE_NAME%',
  };
  t.is(
    jsonFormat(format, false)(exchange),
    '{"code":503,"nested":{"a":[null,1,true],"b":2},"odd":"a\\"b\\\\c\\té","part":1.5,"plain":3,"route":null,"text":"x 503","two":"- -"}\n',
  );
});

test('JSON without empty values leaves out members, items and objects', (t) => {
  const format = {
    route: '%ROUTE_NAME%',
    code: '%RESPONSE_CODE%',
    gone: { x: '%ROUTE_NAME%' },
    kept: { x: '%ROUTE_NAME%', y: 1 },
    list: ['%ROUTE_NAME%', '%PROTOCOL%'],
    two: '%ROUTE_NAME% %ROUTE_NAME%',
  };
  t.is(jsonFormat(format, true)(exchange), '{"code":503,"kept":{"y":1},"list":["HTTP/1.1"],"two":" "}\n');
});

test('any text in a value leaves the line one JSON object', (t) => {
  const line = jsonFormat({ v: '%REQ(user-agent)%', w: 'x %REQ(user-agent)%' }, false);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
      const value = Buffer.from(bytes).toString('latin1');
      const made = line({ ...exchange, sentHeader: () => value, headerValues: () => [value] } as Exchange);
      t.is(made.indexOf('\n'), made.length - 1);
      t.deepEqual(JSON.parse(made), { v: Buffer.from(bytes).toString(), w: `x ${Buffer.from(bytes)}` });
    }),
  );
});
