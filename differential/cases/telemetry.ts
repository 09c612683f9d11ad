/** What Envoy and Lateen are compared by. A case that differs in part says for which requests, and why. */

export interface Request {
  readonly name: string;
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Sent in this order, each on a connection of its own. */
export const requests: readonly Request[] = [
  { name: 'forwarded', path: '/api/1?a=1&b=%20x', headers: { 'user-agent': 'test', 'x-text': 'a"b\\c' } },
  {
    name: 'with body',
    method: 'POST',
    path: '/api/2',
    body: 'four',
    headers: { 'x-request-id': '11111111-2222-4333-8444-555555555555' },
  },
  { name: 'rewritten', path: '/rw/a?x=1', headers: { 'x-two': 'there' } },
  { name: 'head', method: 'HEAD', path: '/api/head' },
  { name: 'not found upstream', path: '/api/404' },
  { name: 'direct', path: '/direct?q' },
  { name: 'redirect', path: '/redirect' },
  { name: 'no route', path: '/none' },
  { name: 'no cluster', path: '/nocluster' },
  { name: 'no host', path: '/empty' },
  { name: 'refused', path: '/refused' },
  { name: 'refused twice', path: '/refused-retried' },
  { name: 'timeout', path: '/slow' },
  { name: 'per-try timeout', path: '/try' },
  { name: 'retried', path: '/retry' },
  {
    name: 'gRPC',
    method: 'POST',
    path: '/api/grpc',
    body: '',
    headers: { 'content-type': 'application/grpc', te: 'trailers' },
  },
  {
    name: 'gRPC without route',
    method: 'POST',
    path: '/none',
    body: '',
    headers: { 'content-type': 'application/grpc' },
  },
];

export interface Exception {
  readonly requests: readonly string[];
  readonly why: string;
}

export interface LineCase {
  readonly name: string;
  /** Text, or a JSON object of formats. */
  readonly format: string | Readonly<Record<string, unknown>>;
  readonly omitEmpty?: boolean;
  readonly filter?: object;
  readonly except?: Exception;
}

const unsent: Exception = {
  requests: ['no host', 'refused', 'refused twice'],
  why: 'Envoy adds the headers of its router before it looks for a host; here they are added when the request is sent',
};

const text = (name: string, format: string, except?: Exception): LineCase => ({ name, format, except });

export const lines: readonly LineCase[] = [
  text('method, path, protocol', '%REQ(:METHOD)% %REQ(:PATH)% %PROTOCOL% %REQ(:AUTHORITY)% %REQ(:SCHEME)%'),
  text('original path', '%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %REQ(X-ENVOY-ORIGINAL-PATH)%'),
  text('PATH', '%PATH% %PATH(NQ)% %PATH(WQ:ORIG)% %PATH(NQ:PATH)% %PATH(WQ:ORIG_OR_PATH):4%'),
  text('query', '%QUERY_PARAM(a)% %QUERY_PARAM(b)% %QUERY_PARAM(q)% %QUERY_PARAMS% %QUERY_PARAMS(DECODED)%'),
  text('request headers', '%REQ(user-agent)% %REQUEST_HEADER(x-text):3% %REQ(x-one?x-two)% %REQ(nope)%'),
  text(
    'response headers',
    '%RESP(content-type)% %RESP(x-origin)% %RESPONSE_HEADER(server)% %RESP(location)% %RESP(grpc-status)%',
  ),
  text('trailers', '%TRAILER(grpc-status)% %RESPONSE_TRAILER(x-t)%'),
  text('code and flags', '%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_FLAGS_LONG%'),
  text(
    'details',
    '%RESPONSE_CODE_DETAILS% %RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)% %CONNECTION_TERMINATION_DETAILS%',
  ),
  text('upstream failure', '%UPSTREAM_TRANSPORT_FAILURE_REASON% %DOWNSTREAM_TRANSPORT_FAILURE_REASON%'),
  text('bodies', '%BYTES_RECEIVED% %BYTES_SENT%'),
  text('request header bytes', '%REQUEST_HEADERS_BYTES%', unsent),
  text('response header bytes', '%RESPONSE_HEADERS_BYTES% %RESPONSE_TRAILERS_BYTES%', {
    requests: ['timeout', 'retried', 'forwarded', 'with body', 'rewritten', 'head', 'not found upstream', 'gRPC'],
    why: 'x-envoy-upstream-service-time has as many digits as the answer took',
  }),
  text('caller on the wire', '%DOWNSTREAM_WIRE_BYTES_RECEIVED% %DOWNSTREAM_HEADER_BYTES_RECEIVED%'),
  text(
    'upstream on the wire',
    '%UPSTREAM_WIRE_BYTES_SENT% %UPSTREAM_HEADER_BYTES_SENT% %UPSTREAM_WIRE_BYTES_RECEIVED% %UPSTREAM_HEADER_BYTES_RECEIVED%',
    {
      requests: ['retried', 'head', 'gRPC', 'per-try timeout'],
      why: 'answers that were not passed on count in Envoy; bodies that HEAD has not, and what frames chunks, are counted differently',
    },
  ),
  text('route', '%ROUTE_NAME% %UPSTREAM_CLUSTER% %UPSTREAM_CLUSTER_RAW% %FILTER_CHAIN_NAME%'),
  text(
    'upstream host',
    '%UPSTREAM_HOST% %UPSTREAM_REMOTE_ADDRESS% %UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %UPSTREAM_REMOTE_PORT% %UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT%',
    {
      requests: ['refused', 'refused twice'],
      why: 'UPSTREAM_REMOTE_* of a connection that never stood: Envoy has none, here it is the host that was tried',
    },
  ),
  text('upstream name', '%UPSTREAM_HOST_NAME% %UPSTREAM_HOST_NAME_WITHOUT_PORT%'),
  text('hosts attempted', '%UPSTREAM_HOSTS_ATTEMPTED% %UPSTREAM_HOSTS_ATTEMPTED_WITHOUT_PORT%'),
  text('attempts', '%UPSTREAM_REQUEST_ATTEMPT_COUNT%'),
  text('upstream protocol', '%UPSTREAM_PROTOCOL%'),
  text(
    'addresses',
    '%DOWNSTREAM_LOCAL_ADDRESS% %DOWNSTREAM_LOCAL_PORT% %DOWNSTREAM_DIRECT_LOCAL_ADDRESS% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%',
  ),
  text(
    'masked addresses',
    '%DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(9)% %DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(32)% %DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT(0)%',
  ),
  text(
    'no TLS',
    '%DOWNSTREAM_TLS_VERSION% %DOWNSTREAM_TLS_CIPHER% %DOWNSTREAM_PEER_SUBJECT% %DOWNSTREAM_PEER_URI_SAN% %DOWNSTREAM_LOCAL_SUBJECT% %DOWNSTREAM_PEER_CERT_V_START% %UPSTREAM_TLS_VERSION% %UPSTREAM_PEER_SUBJECT%',
  ),
  text(
    'server name',
    '%REQUESTED_SERVER_NAME% %REQUESTED_SERVER_NAME(SNI_FIRST)% %REQUESTED_SERVER_NAME(HOST_FIRST:HOST)% %REQUESTED_SERVER_NAME(HOST_FIRST:ORIG)%',
  ),
  text('gRPC status', '%GRPC_STATUS% %GRPC_STATUS(SNAKE_STRING)% %GRPC_STATUS(NUMBER)% %GRPC_STATUS_NUMBER%'),
  text(
    'metadata',
    '%CLUSTER_METADATA(a)% %CLUSTER_METADATA(a:n:x)% %UPSTREAM_METADATA(c:k)% %METADATA(ROUTE:r)% %METADATA(VIRTUAL_HOST:v:k)% %METADATA(LISTENER:l:k)% %DYNAMIC_METADATA(a:b)% %FILTER_STATE(k)%',
    {
      requests: ['no route', 'gRPC without route'],
      why: 'a virtual host whose routes do not match is not remembered here',
    },
  ),
  text(
    'kind of line',
    '%ACCESS_LOG_TYPE% %HOSTNAME% %ENVIRONMENT(HOME)% %ENVIRONMENT(NO_SUCH_VARIABLE)% %CUSTOM_FLAGS% %PACKETS_RETRANSMITTED%',
  ),
  text('cut to nothing', '[%REQ(x-text):0%]'),
  text(
    'coalesce',
    '%COALESCE({"operators": ["REQUESTED_SERVER_NAME", {"command": "REQ", "param": "x-text"}, {"command": "REQ", "param": ":path"}]}):5%',
  ),
  text('no answer in parts', '%COMMON_DURATION(US_TX_BEG:NO_SUCH:us)% %ROUNDTRIP_DURATION% %TRACE_ID%'),
  text('percent signs', '100%% %RESPONSE_CODE%%%'),
  {
    name: 'JSON of every type',
    format: {
      z: '%RESPONSE_CODE%',
      a: '%PROTOCOL%',
      none: '%REQ(nope)%',
      number: 12,
      yes: true,
      nothing: null,
      part: 1.5,
      nested: { list: ['%PROTOCOL%', 1, '%REQ(nope)%'], sum: '%BYTES_SENT% bytes' },
      quoted: '%REQ(x-text)%',
      both: '%REQ(nope)% %REQ(x-text)%',
      object: '%CLUSTER_METADATA(a)%',
      flags: '%RESPONSE_FLAGS%',
    },
  },
  {
    name: 'JSON without what is empty',
    omitEmpty: true,
    format: {
      z: '%RESPONSE_CODE%',
      none: '%REQ(nope)%',
      gone: { x: '%REQ(nope)%' },
      list: ['%REQ(nope)%'],
      both: '%REQ(nope)% %REQ(nope)%',
      flags: '%RESPONSE_FLAGS%',
      grpc: '%GRPC_STATUS%',
    },
  },
  {
    name: 'filter by status',
    format: '%PATH%',
    filter: { status_code_filter: { comparison: { op: 'GE', value: { default_value: 500, runtime_key: 'k' } } } },
  },
  { name: 'filter by flag', format: '%PATH%', filter: { response_flag_filter: { flags: ['NR', 'UF', 'URX'] } } },
  { name: 'filter by any flag', format: '%PATH%', filter: { response_flag_filter: {} } },
  {
    name: 'filter by header',
    format: '%PATH%',
    filter: { header_filter: { header: { name: 'x-text', present_match: true } } },
  },
  {
    name: 'filter by gRPC status',
    format: '%PATH%',
    filter: { grpc_status_filter: { statuses: ['NOT_FOUND', 'UNIMPLEMENTED'] } },
  },
  {
    name: 'filter by gRPC status, others',
    format: '%PATH%',
    filter: { grpc_status_filter: { statuses: ['NOT_FOUND'], exclude: true } },
  },
  { name: 'filter by kind', format: '%PATH%', filter: { log_type_filter: { types: ['DownstreamEnd'] } } },
];

/** Why a retried request took one connection more. */
const again =
  'a connection whose response is to be retried is ended here, also when the response was complete; Envoy uses it again';

/** Statistics that must be the same afterwards, by what their names match. */
export const stats: ReadonlyArray<{
  readonly name: string;
  readonly match: RegExp;
  readonly except?: Readonly<Record<string, string>>;
}> = [
  {
    name: 'requests of the manager',
    match:
      /^http\.ingress\.downstream_rq_(total|active|completed|[1-5]xx|http\d_total|timeout|too_large|idle_timeout)$/,
  },
  { name: 'outcomes of the router', match: /^http\.ingress\.(no_route|no_cluster|rq_.*|rs_too_large)$/ },
  {
    name: 'connections of the manager',
    match:
      /^http\.ingress\.downstream_cx_(total|active|http\d_total|http\d_active|destroy|ssl_total|upgrades_total|idle_timeout)$/,
  },
  {
    name: 'listener',
    match:
      /^listener\.127\.0\.0\.1_\d+\.(downstream_cx_(total|active|destroy|overflow)|no_filter_chain_match|downstream_pre_cx_.*)$/,
  },
  { name: 'listener by class', match: /^listener\.127\.0\.0\.1_\d+\.http\.ingress\.downstream_rq_/ },
  {
    name: 'responses of clusters',
    match: /^cluster\.\w+\.(external\.|internal\.|retry\.)?upstream_rq_(\d\d\d|\dxx|completed)$/,
  },
  {
    name: 'requests of clusters',
    match:
      /^cluster\.\w+\.upstream_rq_(total|active|timeout|per_try_timeout|retry|retry_success|retry_overflow|retry_limit_exceeded|retry_backoff_exponential|pending_overflow|pending_failure_eject|pending_active|cancelled|maintenance_mode)$/,
  },
  {
    name: 'connections of clusters',
    match:
      /^cluster\.\w+\.upstream_cx_(total|http\d_total|connect_fail|connect_timeout|none_healthy|overflow|max_requests|pool_overflow)$/,
    except: {
      'cluster.c.upstream_cx_total': again,
      'cluster.c.upstream_cx_http1_total': again,
    },
  },
  { name: 'members of clusters', match: /^cluster\.\w+\.membership_(total|healthy|degraded|excluded|change)$/ },
  { name: 'circuit breakers', match: /^cluster\.\w+\.circuit_breakers\.default\.(cx|rq|rq_pending|rq_retry)_open$/ },
  {
    name: 'server',
    match:
      /^(server\.(live|state|hot_restart_epoch)|cluster_manager\.(active|warming)_clusters|listener_manager\.total_listeners_active|runtime\.(num_keys|num_layers|admin_overrides_active))$/,
  },
];

/** Pages that must be the same; `shape` keeps what can be. */
export const pages: ReadonlyArray<{
  readonly name: string;
  readonly path: string;
  readonly method?: 'GET' | 'POST';
  readonly shape?: (body: string) => unknown;
}> = [
  { name: 'ready', path: '/ready' },
  { name: 'listeners', path: '/listeners' },
  { name: 'listeners in JSON', path: '/listeners?format=json', shape: JSON.parse },
  { name: 'hot restart version', path: '/hot_restart_version' },
  { name: 'an unknown path', path: '/nosuch', shape: (body) => body.split('\n')[0] },
  { name: 'GET where POST is wanted', path: '/quitquitquit' },
  {
    name: 'clusters',
    path: '/clusters',
    shape: (body) =>
      body
        .split('\n')
        .filter((line) =>
          /::(observability_name|default_priority|added_via_api|hostname|health_flags|weight|region|canary|priority|success_rate|rq_success|rq_timeout|cx_connect_fail)/.test(
            line,
          ),
        )
        .sort(),
  },
  { name: 'memory', path: '/memory', shape: (body) => Object.keys(JSON.parse(body)).sort() },
  { name: 'runtime', path: '/runtime', shape: JSON.parse },
  { name: 'runtime_modify without a layer', path: '/runtime_modify?a=b', method: 'POST' },
  {
    name: 'one resource of the dump, masked',
    path: '/config_dump?resource=static_listeners&mask=listener.name',
    shape: JSON.parse,
  },
  {
    name: 'clusters of the dump by name',
    path: '/config_dump?resource=static_clusters&name_regex=^dead$&mask=cluster.name,cluster.type',
    shape: JSON.parse,
  },
  { name: 'a resource that there is not', path: '/config_dump?resource=nope' },
  {
    name: 'sections of the dump',
    path: '/config_dump?include_eds',
    shape: (body) => JSON.parse(body).configs.map((section: { '@type': string }) => section['@type']),
  },
  { name: 'stats of a type', path: '/stats?type=Foo' },
  { name: 'one statistic', path: '/stats?filter=^http.ingress.downstream_rq_total$' },
  { name: 'one statistic in JSON', path: '/stats?filter=^http.ingress.no_route$&format=json', shape: JSON.parse },
  { name: 'one family for Prometheus', path: '/stats/prometheus?filter=^http.ingress.downstream_rq_[1-5]xx$' },
  { name: 'codes of a cluster for Prometheus', path: '/stats/prometheus?filter=^cluster.c.upstream_rq_(404|4xx)$' },
  { name: 'state', path: '/server_info', shape: (body) => JSON.parse(body).state },
  { name: 'failing health', path: '/healthcheck/fail', method: 'POST' },
  { name: 'ready while failing', path: '/ready' },
  { name: 'health again', path: '/healthcheck/ok', method: 'POST' },
  { name: 'reset', path: '/reset_counters', method: 'POST' },
  { name: 'after the reset', path: '/stats?filter=^http.ingress.downstream_rq_total$' },
];
