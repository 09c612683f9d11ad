/** How often and how long: what callers inside the mesh may ask for, deadlines of gRPC, idle tries, back-off that the host names. */
import { answer, get, type HttpCase, prefix, replies, send, to } from '../case.ts';

const inside = {
  use_remote_address: true,
  internal_address_config: { cidr_ranges: [{ address_prefix: '127.0.0.0', prefix_len: 8 }] },
};
const ok = answer(200, '', 'ok');
const grpc = 'content-type: application/grpc';
const soon = { retry_back_off: { base_interval: '0.001s' } };

const asking = (
  name: string,
  headers: string,
  answers: string[],
  route: object = {},
  manager: object = inside,
): HttpCase => ({
  name: `asked for: ${name}`,
  manager: manager as never,
  routes: [prefix('/', to('a', route as never))],
  requests: [get('/', `${headers}|${replies(...answers)}`)],
});

const calling = (name: string, route: object, headers: string, answers: string[] = [ok]): HttpCase => ({
  name: `deadline: ${name}`,
  routes: [prefix('/', to('a', route as never))],
  requests: [
    send('POST', '/', `${grpc}|te: trailers|${headers ? `${headers}|` : ''}${replies(...answers)}`),
    get('/', `${headers ? `${headers}|` : ''}${replies(ok)}`),
  ],
});

const trying = (name: string, policy: object, answers: string[], headers = ''): HttpCase => ({
  name: `try: ${name}`,
  routes: [prefix('/', to('a', { retry_policy: { ...soon, ...policy }, timeout: '0s' }))],
  requests: [get('/', `${headers ? `${headers}|` : ''}${replies(...answers)}`)],
});

export const tries: readonly HttpCase[] = [
  asking('a retry', 'x-envoy-retry-on: 5xx', [answer(500), ok]),
  asking('a retry, by a stranger', 'x-envoy-retry-on: 5xx', [answer(500), ok], {}, { use_remote_address: true }),
  asking(
    'a retry, behind no edge',
    'x-envoy-retry-on: 5xx|x-forwarded-for: 127.0.0.7',
    [answer(500), ok],
    {},
    {
      internal_address_config: inside.internal_address_config,
    },
  ),
  asking(
    'a retry, behind no edge and by a stranger',
    'x-envoy-retry-on: 5xx|x-forwarded-for: 9.9.9.9',
    [answer(500), ok],
    {},
    {
      internal_address_config: inside.internal_address_config,
    },
  ),
  asking('three tries more', 'x-envoy-retry-on: gateway-error|x-envoy-max-retries: 3', [
    answer(502),
    answer(503),
    answer(504),
    ok,
  ]),
  asking('no tries', 'x-envoy-max-retries: 0', [answer(500), ok], { retry_policy: { retry_on: '5xx', ...soon } }),
  asking('more tries than the route gives', 'x-envoy-max-retries: 2', [answer(500), answer(500), ok], {
    retry_policy: { retry_on: '5xx', ...soon },
  }),
  asking('tries without a condition', 'x-envoy-max-retries: 2', [answer(500), ok]),
  asking('tries that are no number', 'x-envoy-retry-on: 5xx|x-envoy-max-retries: many', [answer(500), answer(500), ok]),
  asking('a condition more', 'x-envoy-retry-on: retriable-4xx', [answer(409), answer(500), ok], {
    retry_policy: { retry_on: '5xx', num_retries: 2, ...soon },
  }),
  asking('status codes', 'x-envoy-retry-on: retriable-status-codes|x-envoy-retriable-status-codes: 404,418', [
    answer(404),
    ok,
  ]),
  asking('header names', 'x-envoy-retry-on: retriable-headers|x-envoy-retriable-header-names: x-again, X-Once-More', [
    answer(200, 'x-once-more: 1'),
    ok,
  ]),
  asking('gRPC statuses', `${grpc}|x-envoy-retry-grpc-on: unavailable, cancelled`, [
    answer(200, 'content-type: application/grpc|grpc-status: 14'),
    ok,
  ]),
  asking('a timeout', 'x-envoy-upstream-rq-timeout-ms: 100', ['SILENT']),
  asking('a timeout, shown on', 'x-envoy-upstream-rq-timeout-ms: 5000', [ok]),
  asking('no timeout', 'x-envoy-upstream-rq-timeout-ms: 0', [ok]),
  asking('a timeout that is no number', 'x-envoy-upstream-rq-timeout-ms: soon', [ok]),
  asking(
    'another answer to a timeout',
    'x-envoy-upstream-rq-timeout-ms: 100|x-envoy-upstream-rq-timeout-alt-response: 1',
    ['SILENT'],
  ),
  asking('a timeout of each try', 'x-envoy-upstream-rq-per-try-timeout-ms: 100', ['SILENT', ok], {
    retry_policy: { retry_on: '5xx', ...soon },
  }),
  asking('a timeout of each try, shown on', 'x-envoy-upstream-rq-per-try-timeout-ms: 700', [ok]),
  asking('a timeout of each try that is too long', 'x-envoy-upstream-rq-per-try-timeout-ms: 70000', [ok]),
  asking(
    'things that are not passed on',
    'x-envoy-upstream-alt-stat-name: a|x-envoy-force-trace: 1|x-envoy-ip-tags: t|x-envoy-original-url: http://x/|x-envoy-decorator-operation: o|x-envoy-hedge-on-per-try-timeout: 1',
    [ok],
    {},
    { use_remote_address: true },
  ),
  asking(
    'things that are passed on from inside',
    'x-envoy-upstream-alt-stat-name: a|x-envoy-ip-tags: t|x-envoy-original-url: http://x/|x-envoy-decorator-operation: o|x-envoy-hedge-on-per-try-timeout: 0',
    [ok],
  ),

  calling('the route alone', { timeout: '7s' }, 'grpc-timeout: 1S'),
  calling('taken', { max_grpc_timeout: '0s' }, 'grpc-timeout: 1S'),
  calling('taken, without one', { max_grpc_timeout: '0s' }, ''),
  calling('bounded', { max_grpc_timeout: '2s' }, 'grpc-timeout: 1M'),
  calling('bounded, without one', { max_grpc_timeout: '2s' }, ''),
  calling('less an offset', { max_grpc_timeout: '20s', grpc_timeout_offset: '0.3s' }, 'grpc-timeout: 1S'),
  calling(
    'less an offset that is too long',
    { max_grpc_timeout: '20s', grpc_timeout_offset: '3s' },
    'grpc-timeout: 1S',
  ),
  calling('in microseconds', { max_grpc_timeout: '20s' }, 'grpc-timeout: 1500001u'),
  calling('malformed', { max_grpc_timeout: '20s' }, 'grpc-timeout: 1 second'),
  calling('of nine digits', { max_grpc_timeout: '20s' }, 'grpc-timeout: 123456789m'),
  calling('very long', { max_grpc_timeout: '0s' }, 'grpc-timeout: 99999999H'),
  calling('over', { max_grpc_timeout: '0s' }, 'grpc-timeout: 100m', ['SILENT']),
  calling(
    'of the stream',
    { timeout: '0s', max_stream_duration: { grpc_timeout_header_max: '0s' } },
    'grpc-timeout: 100m',
    ['SILENT'],
  ),
  calling(
    'of the stream, bounded',
    { timeout: '0s', max_stream_duration: { grpc_timeout_header_max: '0.1s' } },
    'grpc-timeout: 1M',
    ['SILENT'],
  ),
  calling(
    'of the stream, less an offset',
    { timeout: '0s', max_stream_duration: { grpc_timeout_header_max: '3s', grpc_timeout_header_offset: '1.9s' } },
    'grpc-timeout: 2S',
    ['SILENT'],
  ),

  trying('idle', { retry_on: '5xx', per_try_idle_timeout: '0.1s' }, ['SILENT', ok]),
  trying('idle, not to be repeated', { retry_on: 'connect-failure', per_try_idle_timeout: '0.1s' }, ['SILENT', ok]),
  trying('too long, not to be repeated', { retry_on: 'connect-failure', per_try_timeout: '0.1s' }, ['SILENT', ok]),
  trying('idle in the middle', { retry_on: '5xx', per_try_idle_timeout: '0.1s' }, [
    'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf',
  ]),
  trying('limited, which is nobody’s condition', { retry_on: '5xx' }, [answer(503, 'x-envoy-ratelimited: 1'), ok]),
  trying(
    'when the host says',
    {
      retry_on: '5xx',
      rate_limited_retry_back_off: {
        reset_headers: [{ name: 'Retry-After', format: 'SECONDS' }],
        max_interval: '300s',
      },
    },
    [answer(503, 'retry-after: 1'), ok],
  ),
  trying(
    'when the host says, but too late',
    {
      retry_on: '5xx',
      rate_limited_retry_back_off: { reset_headers: [{ name: 'Retry-After', format: 'SECONDS' }], max_interval: '2s' },
    },
    [answer(503, 'retry-after: 100'), ok],
  ),
  trying(
    'when the host says it unreadably',
    {
      retry_on: '5xx',
      rate_limited_retry_back_off: { reset_headers: [{ name: 'Retry-After', format: 'UNIX_TIMESTAMP' }] },
    },
    [answer(503, 'retry-after: tomorrow'), ok],
  ),
  {
    name: 'try: in other priorities',
    clusters: [
      {
        name: 'tiers',
        connect_timeout: '1s',
        type: 'STATIC',
        load_assignment: {
          cluster_name: 'tiers',
          endpoints: ['a', 'b'].map((port, priority) => ({
            priority,
            lb_endpoints: [{ endpoint: { address: { port } } }],
          })),
        },
      },
    ] as never,
    routes: [
      prefix(
        '/',
        to('tiers', {
          retry_policy: {
            ...soon,
            retry_on: '5xx',
            num_retries: 3,
            retry_priority: {
              name: 'envoy.retry_priorities.previous_priorities',
              typed_config: {
                '@type':
                  'type.googleapis.com/envoy.extensions.retry.priority.previous_priorities.v3.PreviousPrioritiesConfig',
                update_frequency: 1,
              },
            },
          },
        }),
      ),
    ],
    requests: [get('/', replies(answer(500), answer(500))), get('/', replies(answer(500))), get('/', replies(ok))],
  },
];
