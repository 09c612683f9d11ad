import test from 'ava';
import type { Fault } from '../config/table.ts';
import { ok } from '../testing/peers.ts';
import { deadPort, get, originFor, rawOrigin, TestProxy } from '../testing/proxy.ts';
import {
  chainOf,
  clusterOf,
  endpointOf,
  forwardOf,
  hostOf,
  httpTable,
  listenerOf,
  managerOf,
  retryOf,
  routeOf,
  routesOf,
  tableOf,
  thresholdsOf,
} from '../testing/tables.ts';

const toA = [routeOf('/', forwardOf('a'))];

test('what cannot be forwarded is answered as Envoy answers it', async (t) => {
  const closing = await rawOrigin(t, (socket) => socket.on('data', () => socket.end()));
  const garbage = await rawOrigin(t, (socket) => socket.on('data', () => socket.write('garbage garbage\r\n\r\n')));
  const silent = await rawOrigin(t, () => {});
  const proxy = await TestProxy.http(
    t,
    [
      routeOf('/refused', forwardOf('refused')),
      routeOf('/retried', forwardOf('refused', { retry: retryOf('connect-failure') })),
      routeOf('/closing', forwardOf('closing')),
      routeOf('/garbage', forwardOf('garbage')),
      routeOf('/silent', forwardOf('silent', { timeoutMs: 50 })),
      routeOf(
        '/try',
        forwardOf('silent', { timeoutMs: 5000, retry: retryOf('5xx', { retries: 1, perTryTimeoutMs: 30 }) }),
      ),
      routeOf('/none', forwardOf('none')),
      routeOf('/missing', forwardOf('missing')),
      routeOf('/full', forwardOf('full')),
    ],
    [
      clusterOf('refused', [endpointOf(await deadPort(t))]),
      clusterOf('closing', [endpointOf(closing.port)]),
      clusterOf('garbage', [endpointOf(garbage.port)]),
      clusterOf('silent', [endpointOf(silent.port)]),
      clusterOf('none', []),
      clusterOf('full', [endpointOf(silent.port)], {
        circuit: thresholdsOf({ maxConnections: 1, maxPending: 1, maxRequests: 0, maxRetries: 3 }),
      }),
    ],
  );
  const before = 'upstream connect error or disconnect/reset before headers. ';
  const refused =
    'upstream_reset_before_response_started{remote_connection_failure|delayed_connect_error:_Connection_refused}';
  const cases: Array<[path: string, status: string, body: string, flags: string, details: string, attempts: number]> = [
    ['/refused', '503 Service Unavailable', `${before}reset reason: remote connection failure`, 'UF', refused, 1],
    [
      '/retried',
      '503 Service Unavailable',
      `${before}retried and the latest reset reason: remote connection failure`,
      'URX,UF',
      refused,
      3,
    ],
    [
      '/closing',
      '503 Service Unavailable',
      `${before}reset reason: connection termination`,
      'UC',
      'upstream_reset_before_response_started{connection_termination}',
      1,
    ],
    [
      '/garbage',
      '502 Bad Gateway',
      `${before}reset reason: protocol error`,
      'UPE',
      'upstream_reset_before_response_started{protocol_error}',
      1,
    ],
    ['/silent', '504 Gateway Timeout', 'upstream request timeout', 'UT', 'response_timeout', 1],
    ['/try', '504 Gateway Timeout', 'upstream request timeout', 'URX,UT', 'upstream_per_try_timeout', 2],
    ['/none', '503 Service Unavailable', 'no healthy upstream', 'UH', 'no_healthy_upstream', 1],
    ['/missing', '503 Service Unavailable', '', 'NC', 'cluster_not_found', 0],
    [
      '/full',
      '503 Service Unavailable',
      `${before}reset reason: overflow`,
      'UO',
      'upstream_reset_before_response_started{overflow}',
      1,
    ],
    ['/nothing', '404 Not Found', '', 'NR', 'route_not_found', 0],
  ];
  for (const [path, status, body, flags, details, attempts] of cases) {
    proxy.witness.finished.length = 0;
    const answer = await proxy.ask(t, get(path));
    t.true(answer.startsWith(`HTTP/1.1 ${status}\r\n`), `${path}: ${answer}`);
    t.is(answer.slice(answer.indexOf('\r\n\r\n') + 4), body, path);
    t.like(proxy.witness.finished[0], { flags, details, attempts, status: Number(status.slice(0, 3)) }, path);
  }
});

test('a retry goes to another host, and sends the body again', async (t) => {
  const bodies: string[] = [];
  const failing = await originFor(t, ({ body }) => {
    bodies.push(`failing ${body}`);
    return 'HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n';
  });
  const working = await originFor(t, ({ head, body }) => {
    bodies.push(`working ${body}`);
    return ok(/x-envoy-attempt-count: (\d)/.exec(head)![1]);
  });
  const proxy = await TestProxy.http(
    t,
    [routeOf('/', forwardOf('a', { retry: retryOf('5xx') }))],
    [clusterOf('a', [endpointOf(failing.port), endpointOf(working.port)])],
  );
  const caller = await proxy.caller(t);
  for (let i = 0; i < 6; i++)
    t.regex(
      await caller.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc').responses(),
      /^HTTP\/1\.1 200 OK[\s\S]*[12]$/,
    );
  t.true(bodies.includes('failing abc'));
  t.true(proxy.witness.finished.some(({ attempts }) => attempts === 2));
  t.is(bodies.filter((body) => body === 'working abc').length, 6);
});

test('when retries run out the last response is passed on', async (t) => {
  const failing = await originFor(t, () => 'HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\n\r\noops');
  const proxy = await TestProxy.http(
    t,
    [routeOf('/', forwardOf('a', { retry: retryOf('5xx') }))],
    [clusterOf('a', [endpointOf(failing.port)])],
  );
  t.regex(await proxy.ask(t, get()), /^HTTP\/1\.1 500 Internal Server Error[\s\S]*oops$/);
  t.like(proxy.witness.finished[0], { attempts: 3, flags: 'URX', details: 'via_upstream' });
});

test('a connection that the host closes as the request leaves costs the caller nothing', async (t) => {
  let served = 0;
  const origin = await rawOrigin(t, (socket) => {
    let first = true;
    socket.on('data', () => {
      if (first) {
        first = false;
        served++;
        socket.write(ok('fine'));
      } else socket.resetAndDestroy();
    });
  });
  const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)])]);
  const caller = await proxy.caller(t);
  for (let i = 0; i < 5; i++) t.regex(await caller.send(get()).responses(), /fine$/);
  t.is(served, 5);
  t.true(
    proxy.witness.finished.every(({ status, attempts, flags }) => status === 200 && attempts === 1 && flags === ''),
  );
  t.regex(await caller.send('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx').responses(), /^HTTP\/1\.1 503/);
});

test('an endpoint that is removed keeps what is under way and gets nothing new', async (t) => {
  let release = () => {};
  const old = await originFor(t, ({ head, socket }) => {
    if (!head.includes('/slow')) return ok('old');
    release = () => socket.write(ok('old, late'));
    return null;
  });
  const fresh = await originFor(t, () => ok('fresh'));
  const cluster = (port: number) => clusterOf('a', [endpointOf(port)]);
  const proxy = await TestProxy.http(t, toA, [cluster(old.port)]);
  const slow = await proxy.caller(t);
  const other = await proxy.caller(t);
  t.regex(await other.send(get()).responses(), /old$/);
  slow.send(get('/slow'));
  while (old.sockets.size < 1 || String(release) === '() => {}') await new Promise((resolve) => setImmediate(resolve));
  await proxy.runtime.apply(httpTable(toA, [cluster(fresh.port)]));
  for (let i = 0; i < 3; i++) t.regex(await other.send(get()).responses(), /fresh$/);
  release();
  t.regex(await slow.responses(), /old, late$/);
  while (old.sockets.size > 0) await new Promise((resolve) => setImmediate(resolve));
  t.regex(await slow.send(get()).responses(), /fresh$/);
});

test('a swapped table takes effect on open connections with the next request', async (t) => {
  const origin = await originFor(t, () => ok('a'));
  const clusters = [clusterOf('a', [endpointOf(origin.port)])];
  const proxy = await TestProxy.http(t, toA, clusters);
  const caller = await proxy.caller(t);
  t.regex(await caller.send(get()).responses(), /a$/);
  const deny = managerOf({
    filters: [
      {
        name: 'rbac',
        disabled: false,
        statPrefix: 'http.test.rbac.',
        config: {
          kind: 'rbac',
          rules: [
            {
              action: 'DENY',
              prefix: '',
              shadow: null,
              policies: [
                { name: 'ns[x]-policy[y]-rule[0]', permissions: [{ kind: 'any' }], principals: [{ kind: 'any' }] },
              ],
            },
          ],
        },
      },
    ],
  });
  const chained = (manager: typeof deny) =>
    tableOf({
      listeners: [listenerOf([chainOf({ http: manager })], { hash: String(manager.filters.length) })],
      clusters,
      routes: [routesOf('routes', hostOf(toA))],
    });
  await proxy.runtime.apply(chained(deny));
  t.regex(await caller.send(get()).responses(), /^HTTP\/1\.1 403 Forbidden[\s\S]*RBAC: access denied$/);
  t.is(proxy.witness.finished[1].details, 'rbac_access_denied_matched_policy[ns[x]-policy[y]-rule[0]]');
  await proxy.runtime.apply(chained(managerOf()));
  t.regex(await caller.send(get()).responses(), /a$/);
  t.is(origin.connections, 1);
});

test('redirects, direct answers, rewrites and header changes', async (t) => {
  const origin = await originFor(t, ({ head }) => ok(head, 'x-secret: 1\r\nx-powered-by: test\r\n'));
  const proxy = await TestProxy.http(
    t,
    [
      routeOf('/redirect', null, {
        redirect: {
          status: 301,
          scheme: 'https',
          host: 'example.com',
          port: null,
          path: null,
          prefixRewrite: '/to',
          regexRewrite: null,
          stripQuery: false,
        },
      }),
      routeOf('/direct', null, { direct: { status: 418, body: Buffer.from('teapot') } }),
      routeOf('/old', forwardOf('a', { prefixRewrite: '/new', hostRewrite: 'inner' }), {
        requestHeaders: {
          add: [
            { name: 'x-one', value: '1', keepEmpty: false, action: 'append' },
            { name: 'x-given', value: 'ours', keepEmpty: false, action: 'overwrite' },
            { name: 'x-kept', value: 'no', keepEmpty: false, action: 'addIfAbsent' },
          ],
          remove: ['x-gone'],
        },
        responseHeaders: {
          add: [{ name: 'x-answer', value: 'yes', keepEmpty: false, action: 'append' }],
          remove: ['x-secret'],
        },
      }),
    ],
    [clusterOf('a', [endpointOf(origin.port)])],
  );
  const caller = await proxy.caller(t);
  t.regex(
    await caller.send(get('/redirect/x?q=1')).responses(),
    /^HTTP\/1\.1 301 Moved Permanently\r\nlocation: https:\/\/example\.com\/to\/x\?q=1\r\ncontent-length: 0\r\n/,
  );
  t.regex(
    await caller.send(get('/direct')).responses(),
    /^HTTP\/1\.1 418 Unknown\r\ncontent-length: 6\r\ncontent-type: text\/plain\r\ndate: [^\r]*\r\nserver: istio-envoy\r\n\r\nteapot$/,
  );
  const answer = await caller
    .send(
      get(
        '/old/x?q=1',
        'X-Given: theirs\r\nX-Kept: theirs\r\nX-Gone: 1\r\nConnection: X-Hop\r\nX-Hop: 1\r\nTE: trailers, gzip\r\nKeep-Alive: 5\r\n',
      ),
    )
    .responses();
  const [head, body] = [answer.slice(0, answer.indexOf('\r\n\r\n')), answer.slice(answer.indexOf('\r\n\r\n') + 4)];
  t.regex(body, /^GET \/new\/x\?q=1 HTTP\/1\.1\r\n/);
  for (const line of [
    'X-Kept: theirs',
    'te: trailers',
    'x-one: 1',
    'x-given: ours',
    'host: inner',
    'x-envoy-original-path: /old/x?q=1',
    'x-envoy-original-host: shop',
  ])
    t.true(body.includes(`\r\n${line}`), line);
  t.notRegex(body, /x-gone|x-hop|keep-alive|theirs\r\n[\s\S]*X-Given|connection|x-kept: no/);
  t.regex(head, /x-answer: yes/);
  t.notRegex(head, /x-secret/);
});

test('faults delay and abort the requests that they name', async (t) => {
  const origin = await originFor(t, ({ body }) => ok(`got ${body}`));
  const jason = {
    name: 'end-user',
    kind: 'string' as const,
    match: { test: (value: string) => value === 'jason', text: '' },
    range: null,
    invert: false,
    treatMissingAsEmpty: false,
  };
  const fault = (part: Partial<Fault>) => ({
    filters: new Map([
      [
        'fault',
        {
          kind: 'fault' as const,
          fault: {
            delay: null,
            abort: null,
            headers: [jason],
            upstreamCluster: '',
            downstreamNodes: null,
            maxActive: Number.POSITIVE_INFINITY,
            ...part,
          },
        },
      ],
    ]),
  });
  const proxy = await TestProxy.http(
    t,
    [
      routeOf('/delay', forwardOf('a'), fault({ delay: { ms: 60, millionths: 1_000_000 } })),
      routeOf('/abort', forwardOf('a'), fault({ abort: { status: 555, grpcStatus: null, millionths: 1_000_000 } })),
    ],
    [clusterOf('a', [endpointOf(origin.port)])],
    {
      filters: [
        { name: 'fault', disabled: false, statPrefix: 'http.test.fault.', config: { kind: 'fault', fault: null } },
      ],
    },
  );
  const caller = await proxy.caller(t);
  const post = (path: string, headers: string) =>
    `POST ${path} HTTP/1.1\r\nHost: a\r\n${headers}Content-Length: 2\r\n\r\nhi`;
  const start = performance.now();
  t.regex(await caller.send(post('/delay', 'end-user: jason\r\n')).responses(), /got hi$/);
  t.true(performance.now() - start >= 55);
  t.regex(
    await caller.send(post('/abort', 'end-user: jason\r\n')).finished(),
    /^HTTP\/1\.1 555 Unknown[\s\S]*fault filter abort$/,
  );
  t.regex(await proxy.ask(t, post('/abort', '')), /got hi$/);
  t.deepEqual(
    proxy.witness.finished.map(({ flags, details }) => [flags, details]),
    [
      ['DI', 'via_upstream'],
      ['FI', 'fault_filter_abort'],
      ['', 'via_upstream'],
    ],
  );
});

test('weights split traffic, and a mirror gets a copy', async (t) => {
  const counts = { a: 0, b: 0 };
  const shadows: string[] = [];
  const a = await originFor(t, () => ok(String(++counts.a)));
  const b = await originFor(t, () => ok(String(++counts.b)));
  const shadow = await originFor(t, ({ head, body }) => {
    shadows.push(`${/host: (\S+)/.exec(head)![1]} ${body}`);
    return ok('ignored');
  });
  const weighted = (cluster: string, weight: number) => ({
    cluster,
    weight,
    requestHeaders: null,
    responseHeaders: null,
    hostRewrite: null,
    subset: null,
    filters: null,
  });
  const proxy = await TestProxy.http(
    t,
    [
      routeOf('/mirror', forwardOf('a', { mirrors: [{ cluster: 'shadow', fractionMillionths: 1_000_000 }] })),
      routeOf('/', forwardOf('a', { clusters: [weighted('a', 90), weighted('b', 10)], totalWeight: 100 })),
    ],
    [
      clusterOf('a', [endpointOf(a.port)]),
      clusterOf('b', [endpointOf(b.port)]),
      clusterOf('shadow', [endpointOf(shadow.port)]),
    ],
  );
  const caller = await proxy.caller(t);
  for (let i = 0; i < 1000; i++) await caller.send(get()).responses();
  // Five standard deviations of a binomial draw.
  t.true(Math.abs(counts.a - 900) < 5 * Math.sqrt(1000 * 0.9 * 0.1), `${counts.a}`);
  await caller.send('POST /mirror HTTP/1.1\r\nHost: shop:80\r\nContent-Length: 2\r\n\r\nhi').responses();
  while (shadows.length === 0) await new Promise((resolve) => setImmediate(resolve));
  t.deepEqual(shadows, ['shop-shadow:80 hi']);
});

test('requests wait for a connection when the cluster allows no more, and are served in turn', async (t) => {
  let refused = false;
  const waiting: Array<() => void> = [];
  const origin = await rawOrigin(t, (socket) => {
    socket.on('data', () => {
      if (refused) socket.write(ok('ok'));
      else waiting.push(() => socket.write(ok('ok')));
    });
  });
  const circuit = thresholdsOf({ maxConnections: 1, maxPending: 2, maxRequests: 100, maxRetries: 3 });
  const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)], { circuit })]);
  const answers = Array.from({ length: 4 }, () => proxy.ask(t, get()));
  await proxy.witness.until((witness) => witness.finished.length === 1);
  t.like(proxy.witness.finished[0], { status: 503, flags: 'UO' });
  refused = true;
  while (waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
  waiting[0]();
  t.deepEqual((await Promise.all(answers)).map((answer) => answer.slice(9, 12)).sort(), ['200', '200', '200', '503']);
  t.is(origin.connections, 1);
});

test('draining: responses say close, idle connections end, and the drain is over with the last of them', async (t) => {
  let release = () => {};
  const origin = await originFor(t, ({ head, socket }) => {
    if (!head.includes('/slow')) return ok('quick');
    release = () => socket.write(ok('slow'));
    return null;
  });
  const proxy = await TestProxy.http(t, toA, [clusterOf('a', [endpointOf(origin.port)])]);
  const slow = await proxy.caller(t);
  const idle = await proxy.caller(t);
  await idle.send(get()).responses();
  slow.send(get('/slow'));
  while (String(release) === '() => {}') await new Promise((resolve) => setImmediate(resolve));
  const drained = proxy.runtime.drain(10_000);
  t.regex(await proxy.ask(t, get()), /connection: close\r\n\r\nquick$/);
  await idle.finished();
  release();
  t.regex(await slow.responses(), /connection: close\r\n\r\nslow$/);
  const start = performance.now();
  await drained;
  t.true(performance.now() - start < 3000);
});
