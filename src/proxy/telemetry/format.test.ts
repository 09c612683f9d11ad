import test from 'ava';
import type { Exchange, TcpSession } from '../http/exchange.ts';
import { jsonFormat, textFormat } from './format.ts';
import { timeFormat } from './start-time.ts';

const connection = {
  id: 7,
  remote: { ip: '10.0.0.1', port: 1234 },
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
  ':path': '/new',
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
  cluster: { name: 'outbound|80||shop', altStatName: '' },
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
  t.throws(() => timeFormat('%Q'), { message: /%Q/ });
});

test('JSON keeps the type of a lone operator and nulls what is missing', (t) => {
  const format = {
    code: '%RESPONSE_CODE%',
    text: 'x %RESPONSE_CODE%',
    route: '%ROUTE_NAME%',
    nested: { a: '%BYTES_SENT%' },
    plain: 3,
  };
  t.deepEqual(JSON.parse(jsonFormat(format, false)(exchange)), {
    code: 503,
    text: 'x 503',
    route: null,
    nested: { a: 2 },
    plain: 3,
  });
  t.deepEqual(JSON.parse(jsonFormat({ route: '%ROUTE_NAME%', code: '%RESPONSE_CODE%' }, true)(exchange)), {
    code: 503,
  });
});
