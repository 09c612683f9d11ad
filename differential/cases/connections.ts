/** What becomes of a connection: which filter chain takes it, which certificate it is shown, what a relay answers. */

export type Json = Record<string, unknown>;

/** Certificates by the names that they hold, made anew for each run. */
export const certificates = ['first.test', '*.shop.test', 'a.shop.test', 'client', 'stranger'] as const;
export type CertificateName = (typeof certificates)[number];

export interface ListenerCase {
  /** Fields of the listener besides name and address. */
  readonly fields: (made: Made) => Json;
  readonly cases: readonly ConnectionCase[];
}

export interface ConnectionCase {
  readonly name: string;
  readonly send?: string | Buffer;
  /** Over TLS, with these options; null without. */
  readonly tls?: {
    readonly servername?: string;
    readonly alpn?: readonly string[];
    readonly client?: CertificateName;
    readonly maxVersion?: 'TLSv1.2';
  };
  /** From this address. */
  readonly from?: string;
  /** Why Lateen differs. */
  readonly except?: string;
}

/** What a listener may refer to. */
export interface Made {
  certificate(name: CertificateName): Json;
  readonly roots: Json;
  readonly fingerprint: (name: CertificateName) => string;
}

const types = 'type.googleapis.com/envoy.extensions';
const typed = (name: string, type: string, fields: Json = {}): Json => ({
  name,
  typed_config: { '@type': `${types}.${type}`, ...fields },
});

const answer = (text: string): Json =>
  typed('answer', 'filters.network.direct_response.v3.Config', { response: { inline_string: text } });
const relay = (fields: Json = { cluster: 'echo' }): Json =>
  typed('tcp', 'filters.network.tcp_proxy.v3.TcpProxy', { stat_prefix: 'x', ...fields });

/** A chain that answers with its name. */
const chain = (name: string, match: Json = {}, more: Json = {}): Json => ({
  name,
  filter_chain_match: match,
  filters: [answer(name)],
  ...more,
});

const inspectors = [
  typed('tls', 'filters.listener.tls_inspector.v3.TlsInspector'),
  typed('http', 'filters.listener.http_inspector.v3.HttpInspector'),
];
/** TLS ends here and a relay follows: Envoy loses a fixed answer that is written before the handshake. */
const ends = (common: Json, more: Json = {}): Json => ({
  filters: [relay()],
  transport_socket: typed('tls', 'transport_sockets.tls.v3.DownstreamTlsContext', {
    common_tls_context: common,
    ...more,
  }),
});
const range = (prefix: string, bits: number): Json => ({ address_prefix: prefix, prefix_len: bits });
const plain = (name: string, more: Partial<ConnectionCase> = {}): ConnectionCase => ({ name, send: 'hello', ...more });
const http = 'GET / HTTP/1.1\r\nhost: a\r\n\r\n';

const proxyProtocol = (fields: Json = {}) => [
  typed('proxy', 'filters.listener.proxy_protocol.v3.ProxyProtocol', fields),
];
const sources = [
  chain('told', { source_prefix_ranges: [range('192.0.2.0', 24)] }),
  chain('told6', { source_prefix_ranges: [range('2001:db8::', 32)] }),
  chain('port', { destination_port: 443 }),
  chain('other'),
];

function version2(command: number, family: number, addresses: readonly number[]): Buffer {
  const head = [13, 10, 13, 10, 0, 13, 10, 81, 85, 73, 84, 10, command, family, 0, addresses.length];
  return Buffer.from([...head, ...addresses]);
}
const four = [192, 0, 2, 1, 198, 51, 100, 7, 0x0f, 0xa0, 0x00, 0x50];
const six = [0x20, 1, 0xd, 0xb8, ...Array(11).fill(0), 1, ...Array(15).fill(0), 1, 1, 1, 2, 2];
const malformed = 'refused';

/** Clusters `told1` and `told2` tell the host, which sends back what it got, whose connection it is. */
export const telling = [1, 2] as const;
export const tellingSocket = (version: number): Json =>
  typed('told', 'transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport', {
    config: { version: `V${version}` },
    transport_socket: typed('raw', 'transport_sockets.raw_buffer.v3.RawBuffer'),
  });
const toldCases: readonly ConnectionCase[] = [
  plain('IPv4', { send: 'PROXY TCP4 192.0.2.1 198.51.100.7 4000 443\r\nhello' }),
  plain('IPv6', { send: 'PROXY TCP6 2001:db8::1 2001:db8::2 4000 443\r\nhello' }),
  plain('by version 2', { send: Buffer.concat([version2(0x21, 0x11, four), Buffer.from('hello')]) }),
];

export const listeners: Readonly<Record<string, ListenerCase>> = {
  tunnel: {
    fields: () => ({
      filter_chains: [
        {
          filters: [
            relay({
              cluster: 'connect',
              tunneling_config: {
                hostname: 'db.example.com:5432',
                headers_to_add: [{ header: { key: 'x-from', value: 'a' } }],
              },
            }),
          ],
        },
      ],
    }),
    cases: [plain('a CONNECT that is agreed to')],
  },
  tunnelRefused: {
    fields: () => ({
      filter_chains: [
        { filters: [relay({ cluster: 'connect', tunneling_config: { hostname: 'refused.example.com:1' } })] },
      ],
    }),
    cases: [plain('a CONNECT that is refused')],
  },
  tunnelPost: {
    fields: () => ({
      filter_chains: [
        {
          filters: [
            relay({
              cluster: 'connect',
              tunneling_config: { hostname: 'db.example.com:5432', use_post: true, post_path: '/tunnel' },
            }),
          ],
        },
      ],
    }),
    cases: [plain('a POST')],
  },
  told1: {
    fields: () => ({ listener_filters: proxyProtocol(), filter_chains: [{ filters: [relay({ cluster: 'told1' })] }] }),
    cases: toldCases,
  },
  told2: {
    fields: () => ({ listener_filters: proxyProtocol(), filter_chains: [{ filters: [relay({ cluster: 'told2' })] }] }),
    cases: toldCases,
  },
  protocols: {
    fields: () => ({
      listener_filters: inspectors,
      listener_filters_timeout: '0.3s',
      continue_on_listener_filters_timeout: true,
      filter_chains: [
        chain('exact', { server_names: ['a.test'] }),
        chain('wild', { server_names: ['*.a.test'] }),
        chain('alpn', { transport_protocol: 'tls', application_protocols: ['h2', 'x/1'] }),
        chain('tls', { transport_protocol: 'tls' }),
        chain('http', { transport_protocol: 'raw_buffer', application_protocols: ['http/1.1', 'http/1.0'] }),
        chain('h2c', { transport_protocol: 'raw_buffer', application_protocols: ['h2c'] }),
        chain('raw', { transport_protocol: 'raw_buffer' }),
      ],
    }),
    cases: [
      plain('HTTP/1.1 is seen', { send: http }),
      plain('HTTP/1.0 is seen', { send: 'GET / HTTP/1.0\r\n\r\n' }),
      plain('HTTP/2 is seen', { send: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' }),
      plain('what is neither is raw', { send: '\x01\x02\x03 rubbish\r\n' }),
      plain('HTTP/9 is raw', {
        send: 'GET / HTTP/9.9\r\n\r\n',
        except: 'Envoy takes any number for a version of HTTP/1; a connection of another version is no HTTP here',
      }),
      plain('a record of another kind is raw', { send: '\x17\x03\x01\x00\x05hello' }),
      plain('silence goes on after the timeout', { send: '' }),
      plain('half a ClientHello goes on after the timeout', { send: '\x16\x03\x01\x01\x00\x01\x00' }),
    ],
  },
  unanswered: {
    fields: () => ({
      listener_filters: inspectors,
      listener_filters_timeout: '0.3s',
      filter_chains: [chain('tls', { transport_protocol: 'tls' }), chain('raw', { transport_protocol: 'raw_buffer' })],
    }),
    cases: [plain('silence is ended after the timeout', { send: '' })],
  },
  sources: {
    fields: () => ({
      filter_chains: [
        chain('wide', { source_prefix_ranges: [range('127.0.0.0', 8)] }),
        chain('narrow', { source_prefix_ranges: [range('127.0.0.2', 32)] }),
      ],
      default_filter_chain: chain('default'),
    }),
    cases: [plain('a wide range'), plain('a narrow range', { from: '127.0.0.2' })],
  },
  kinds: {
    fields: () => ({
      filter_chains: [
        chain('external', { source_type: 'EXTERNAL' }),
        chain('local', { source_type: 'SAME_IP_OR_LOOPBACK' }),
      ],
    }),
    cases: [plain('loopback is local')],
  },
  direct: {
    fields: () => ({
      filter_chains: [
        chain('direct', { direct_source_prefix_ranges: [range('127.0.0.3', 32)] }),
        chain('source', { source_prefix_ranges: [range('127.0.0.0', 8)] }),
      ],
    }),
    cases: [
      plain('the peer comes before the source', { from: '127.0.0.3' }),
      plain('another peer', { from: '127.0.0.4' }),
    ],
  },
  destinations: {
    fields: () => ({
      filter_chains: [
        chain('elsewhere', { prefix_ranges: [range('10.0.0.0', 8)] }),
        chain('other port', { destination_port: 1, prefix_ranges: [range('127.0.0.1', 32)] }),
      ],
      default_filter_chain: chain('default'),
    }),
    cases: [plain('none matches, so the default')],
  },
  nowhere: {
    fields: () => ({ filter_chains: [chain('elsewhere', { prefix_ranges: [range('10.0.0.0', 8)] })] }),
    cases: [plain('none matches and there is no default')],
  },
  proxied: {
    fields: () => ({ listener_filters: proxyProtocol(), filter_chains: sources }),
    cases: [
      plain('version 1', { send: 'PROXY TCP4 192.0.2.1 198.51.100.7 4000 80\r\nhello' }),
      plain('version 1 and its destination', { send: 'PROXY TCP4 203.0.113.1 198.51.100.7 4000 443\r\n' }),
      plain('version 1 with IPv6', { send: 'PROXY TCP6 2001:db8::1 ::1 4000 80\r\n' }),
      plain('version 1 of unknown', { send: 'PROXY UNKNOWN\r\n' }),
      plain('version 1 of unknown with more', { send: 'PROXY UNKNOWN ffff:: x 1 2\r\n' }),
      plain('version 2', { send: version2(0x21, 0x11, four) }),
      plain('version 2 with IPv6', { send: version2(0x21, 0x21, six) }),
      plain('version 2 of its own', { send: version2(0x20, 0, []) }),
      plain('version 2 with a TLV', { send: version2(0x21, 0x11, [...four, 0xe0, 0, 1, 7]) }),
      plain(`no header is ${malformed}`, { send: http }),
      plain(`UDP is ${malformed}`, { send: 'PROXY UDP4 192.0.2.1 198.51.100.7 4000 80\r\n' }),
      plain(`a family that does not fit is ${malformed}`, { send: 'PROXY TCP4 ::1 ::1 4000 80\r\n' }),
      plain(`a large port is ${malformed}`, { send: 'PROXY TCP4 192.0.2.1 198.51.100.7 70000 80\r\n' }),
      plain(`a missing port is ${malformed}`, { send: 'PROXY TCP4 192.0.2.1 198.51.100.7 4000\r\n' }),
      plain(`an endless line is ${malformed}`, { send: `PROXY TCP4 ${'1'.repeat(200)}` }),
      plain(`another version is ${malformed}`, { send: version2(0x31, 0x11, four) }),
      plain(`another command is ${malformed}`, { send: version2(0x22, 0x11, four) }),
      plain(`short addresses are ${malformed}`, { send: version2(0x21, 0x11, four.slice(0, 8)) }),
    ],
  },
  'maybe proxied': {
    fields: () => ({
      listener_filters: proxyProtocol({ allow_requests_without_proxy_protocol: true }),
      filter_chains: sources,
    }),
    cases: [
      plain('no header is let in', { send: http }),
      plain('a header counts', { send: 'PROXY TCP4 192.0.2.1 198.51.100.7 4000 80\r\n' }),
    ],
  },
  'newly proxied': {
    fields: () => ({
      listener_filters: proxyProtocol({ disallowed_versions: ['V1'] }),
      filter_chains: sources,
    }),
    cases: [
      plain('a version that is not allowed', { send: 'PROXY TCP4 192.0.2.1 198.51.100.7 4000 80\r\n' }),
      plain('the other version', { send: version2(0x21, 0x11, four) }),
    ],
  },
  relayed: {
    fields: () => ({ filter_chains: [{ filters: [relay()] }] }),
    cases: [plain('an echo'), plain('much at once', { send: 'x'.repeat(100_000) })],
  },
  lost: {
    fields: () => ({ filter_chains: [{ filters: [relay({ cluster: 'none' })] }] }),
    cases: [plain('no cluster')],
  },
  empty: { fields: () => ({ filter_chains: [{ filters: [relay({ cluster: 'empty' })] }] }), cases: [plain('no host')] },
  dead: {
    fields: () => ({ filter_chains: [{ filters: [relay({ cluster: 'dead', max_connect_attempts: 2 })] }] }),
    cases: [plain('refused')],
  },
  idle: {
    fields: () => ({ filter_chains: [{ filters: [relay({ cluster: 'echo', idle_timeout: '0.2s' })] }] }),
    cases: [plain('an idle relay ends')],
  },
  brief: {
    fields: () => ({
      filter_chains: [{ filters: [relay({ cluster: 'echo', max_downstream_connection_duration: '1s' })] }],
    }),
    cases: [plain('a long relay ends')],
  },
  limited: {
    fields: () => ({
      filter_chains: [
        {
          filters: [
            typed('limit', 'filters.network.local_ratelimit.v3.LocalRateLimit', {
              stat_prefix: 'x',
              token_bucket: { max_tokens: 1, fill_interval: '1000s' },
            }),
            answer('in'),
          ],
        },
      ],
    }),
    cases: [plain('the first is let in', { send: '' }), plain('the second is not', { send: '' })],
  },
  secured: {
    fields: ({ certificate }) => ({
      listener_filters: [inspectors[0]],
      filter_chains: [
        chain(
          'tls',
          {},
          ends({
            alpn_protocols: ['h2', 'http/1.1'],
            tls_certificates: [certificate('first.test'), certificate('*.shop.test'), certificate('a.shop.test')],
          }),
        ),
      ],
    }),
    cases: [
      { name: 'the certificate of the name', tls: { servername: 'a.shop.test' } },
      { name: 'the wildcard', tls: { servername: 'b.shop.test' } },
      { name: 'a wildcard covers one label', tls: { servername: 'c.b.shop.test' } },
      { name: 'an unknown name', tls: { servername: 'unknown.test' } },
      { name: 'no name', tls: {} },
      { name: 'the server chooses the protocol', tls: { alpn: ['http/1.1', 'h2'] } },
      { name: 'no protocol in common', tls: { alpn: ['x/1'] } },
      { name: 'TLS 1.2', tls: { maxVersion: 'TLSv1.2' } },
      plain('plain text is refused', {
        except: 'Envoy answers with an alert; here what begins without a ClientHello is ended before TLS sees it',
      }),
    ],
  },
  modern: {
    fields: ({ certificate }) => ({
      filter_chains: [
        chain(
          'tls',
          {},
          ends({
            tls_params: { tls_minimum_protocol_version: 'TLSv1_3' },
            tls_certificates: [certificate('first.test')],
          }),
        ),
      ],
    }),
    cases: [
      { name: 'TLS 1.3 alone', tls: {} },
      { name: 'TLS 1.2 is refused', tls: { maxVersion: 'TLSv1.2' } },
    ],
  },
  mutual: {
    fields: ({ certificate, roots }) => ({
      filter_chains: [
        chain(
          'tls',
          {},
          ends(
            { tls_certificates: [certificate('first.test')], validation_context: { trusted_ca: roots } },
            { require_client_certificate: true },
          ),
        ),
      ],
    }),
    cases: [
      { name: 'a certificate that chains', tls: { client: 'client' } },
      { name: 'a stranger', tls: { client: 'stranger' } },
      { name: 'no certificate', tls: {} },
    ],
  },
  pinned: {
    fields: ({ certificate, roots, fingerprint }) => ({
      filter_chains: [
        chain(
          'tls',
          {},
          ends({
            tls_certificates: [certificate('first.test')],
            validation_context: { trusted_ca: roots, verify_certificate_hash: [fingerprint('client')] },
          }),
        ),
      ],
    }),
    cases: [
      { name: 'the pinned certificate', tls: { client: 'client' } },
      { name: 'another that chains', tls: { client: 'first.test' } },
    ],
  },
  named: {
    fields: ({ certificate, roots }) => ({
      filter_chains: [
        chain(
          'tls',
          {},
          ends({
            tls_certificates: [certificate('first.test')],
            validation_context: {
              trusted_ca: roots,
              match_typed_subject_alt_names: [{ san_type: 'DNS', matcher: { exact: 'b.shop.test' } }],
            },
          }),
        ),
      ],
    }),
    cases: [
      { name: 'a wildcard covers the required name', tls: { client: '*.shop.test' } },
      { name: 'another name', tls: { client: 'client' } },
    ],
  },
  untrusted: {
    fields: ({ certificate, roots }) => ({
      filter_chains: [
        chain(
          'tls',
          {},
          ends({
            tls_certificates: [certificate('first.test')],
            validation_context: { trusted_ca: roots, trust_chain_verification: 'ACCEPT_UNTRUSTED' },
          }),
        ),
      ],
    }),
    cases: [{ name: 'a stranger is taken', tls: { client: 'stranger' } }],
  },
};
