import test from 'ava';
import fc from 'fast-check';
import { explanation } from '../admin/explain-page.ts';
import type { HeaderMatch, HttpFilter, Rbac, RbacPolicy, Route, RouteFilter } from '../config/table.ts';
import { createRuntime } from '../runtime.ts';
import { secretsOf, TestAuthority } from '../testing/certificates.ts';
import { Caller, httpOrigin, ok, Witness } from '../testing/peers.ts';
import {
  chainOf,
  clusterOf,
  endpointOf,
  forwardOf,
  httpTable,
  listenerOf,
  routeOf,
  tableOf,
  tcpOf,
} from '../testing/tables.ts';
import { decide } from './decide.ts';
import { readQuestion } from './question.ts';
import { DecisionTrace } from './trace.ts';

const header = (name: string, value: string): HeaderMatch => ({
  name,
  kind: 'string',
  match: { text: value, test: (given) => given === value },
  range: null,
  invert: false,
  treatMissingAsEmpty: false,
});
const underPath = (prefix: string) => ({
  kind: 'path' as const,
  match: { text: prefix, test: (path: string) => path.startsWith(prefix) },
});
const everyone = [{ kind: 'any' as const }];

const names = fc.constantFrom('/a', '/a/b', '/b', '/');
const policy = fc.record({ prefix: names, asks: fc.boolean(), number: fc.nat(99) }).map(
  ({ prefix, asks, number }): RbacPolicy => ({
    name: `ns[shop]-policy[p${number}]-rule[0]`,
    permissions: [asks ? { kind: 'header', header: header('x-team', 'blue') } : underPath(prefix)],
    principals: everyone,
  }),
);
const rbac = fc
  .record({
    action: fc.constantFrom<Rbac['action'][]>('ALLOW', 'DENY', 'LOG', 'NONE'),
    policies: fc.array(policy, { maxLength: 3 }),
    shadow: fc.option(
      fc.record({
        action: fc.constantFrom<Rbac['action'][]>('ALLOW', 'DENY'),
        policies: fc.array(policy, { maxLength: 2 }),
      }),
    ),
  })
  .map(
    ({ shadow, ...rest }): Rbac => ({ ...rest, prefix: '', shadow: shadow && ({ ...shadow, prefix: '' } as never) }),
  );
const filterConfig = fc.oneof(
  fc.array(rbac, { minLength: 1, maxLength: 1 }).map((rules) => ({ kind: 'rbac' as const, rules })),
  fc.constantFrom(418, 503).map((status) => ({
    kind: 'fault' as const,
    fault: {
      delay: null,
      abort: { status, grpcStatus: null, millionths: 1_000_000 },
      headers: [header('x-break', 'yes')],
      upstreamCluster: '',
      downstreamNodes: null,
      maxActive: 10,
    },
  })),
);
const filters = fc
  .array(fc.record({ config: filterConfig, disabled: fc.boolean() }), { maxLength: 3 })
  .map((all) =>
    all.map(
      ({ config, disabled }, i): HttpFilter => ({ name: `f${i}`, disabled, statPrefix: `http.test.f${i}.`, config }),
    ),
  );
const said = fc.array(
  fc.tuple(fc.constantFrom('f0', 'f1', 'f2'), fc.constantFrom('disabled' as const, 'enabled' as const)),
  { maxLength: 2 },
);
const route = fc
  .record({
    prefix: names,
    does: fc.constantFrom('forward', 'lost', 'direct', 'redirect'),
    team: fc.option(fc.constantFrom('blue', 'red')),
    said,
    number: fc.nat(99),
  })
  .map(({ prefix, does, team, said: pairs, number }): Route => {
    const base = routeOf(prefix, null);
    return {
      ...base,
      name: `r${number}`,
      match: { ...base.match, headers: team === null ? [] : [header('x-team', team)] },
      filters:
        pairs.length === 0 ? null : new Map(pairs.map(([name, kind]): [string, RouteFilter] => [name, { kind }])),
      forward: does === 'forward' ? forwardOf('a') : does === 'lost' ? forwardOf('none') : null,
      direct: does === 'direct' ? { status: 201, body: Buffer.from('made') } : null,
      redirect:
        does === 'redirect'
          ? {
              status: 302,
              scheme: null,
              host: 'elsewhere',
              port: null,
              path: '/x',
              prefixRewrite: null,
              regexRewrite: null,
              stripQuery: true,
            }
          : null,
    };
  });
const request = fc.record({
  path: fc.constantFrom('/a', '/a/b/c', '/b?x=1', '/c', '/a/../b', '/a//b', '/%00'),
  team: fc.option(fc.constantFrom('blue', 'red')),
  breaks: fc.boolean(),
});

test('what is decided of a request is what the proxy does with it', async (t) => {
  const origin = await httpOrigin(() => ok('hello')).start();
  const witness = new Witness();
  const runtime = await createRuntime({
    table: httpTable([], []),
    secrets: await secretsOf(await TestAuthority.make(), 'spiffe://cluster.local/ns/a/sa/a'),
    telemetry: witness,
  });
  t.teardown(async () => {
    await runtime.close();
    origin.stop();
  });
  const port = runtime.portOf('listener');
  const property = fc.asyncProperty(
    fc.array(route, { maxLength: 4 }),
    filters,
    fc.array(request, { minLength: 1, maxLength: 4 }),
    async (routes, chain, requests) => {
      const manager = { filters: chain, normalizePath: true, mergeSlashes: true };
      const table = httpTable(routes, [clusterOf('a', [endpointOf(origin.port)])], manager);
      await runtime.apply(table);
      for (const { path, team, breaks } of requests) {
        const headers = [...(team === null ? [] : [`x-team: ${team}`]), ...(breaks ? ['x-break: yes'] : [])];
        const query = new URLSearchParams({ listener: 'listener', authority: 'shop', path });
        for (const each of headers) query.append('header', each);
        const decision = decide(table, readQuestion(query), null);
        const before = witness.finished.length;
        const caller = await Caller.to(port);
        caller.send([`GET ${path} HTTP/1.1`, 'Host: shop', ...headers, 'Connection: close', '', ''].join('\r\n'));
        await caller.finished();
        await witness.until(({ finished }) => finished.length > before);
        const { status, flags, details } = witness.finished[before];
        if (decision.outcome === 'forwarded') t.deepEqual([status, details], [200, 'via_upstream']);
        else if (decision.outcome === 'answered')
          t.deepEqual([decision.status, decision.flags, decision.details], [status, flags, details], path);
        else t.fail(`refused: ${decision.why}`);
      }
    },
  );
  await fc.assert(property, { numRuns: 150 });
});

const ask = (table: ReturnType<typeof tableOf>, parameters: Record<string, string>, ...headers: string[]) => {
  const query = new URLSearchParams(parameters);
  for (const each of headers) query.append('header', each);
  const question = readQuestion(query);
  const trace = new DecisionTrace();
  return explanation(question, decide(table, question, trace), trace);
};

test('the trace tells who decided, in the order in which it was asked', (t) => {
  const deny: Rbac = {
    action: 'DENY',
    policies: [{ name: 'ns[shop]-policy[no-admin]-rule[0]', permissions: [underPath('/admin')], principals: everyone }],
    prefix: '',
    shadow: null,
  };
  const table = httpTable(
    [
      routeOf('/old', null, {
        name: 'moved',
        redirect: {
          status: 301,
          scheme: null,
          host: null,
          port: null,
          path: '/new',
          prefixRewrite: null,
          regexRewrite: null,
          stripQuery: false,
        },
      }),
      routeOf('/', forwardOf('reviews', { timeoutMs: 2000 }), { name: 'rest' }),
    ],
    [clusterOf('reviews', [])],
    { filters: [{ name: 'rbac', disabled: false, statPrefix: '', config: { kind: 'rbac', rules: [deny] } }] },
  );
  const at = { listener: 'listener', authority: 'shop' };
  const words = (text: string) => text.replace(/ {2,}/g, ' | ');
  t.is(
    words(ask(table, { ...at, path: '/admin/x' })),
    [
      'GET shop/admin/x: answered with 403 by rbac (rbac_access_denied_matched_policy[ns[shop]-policy[no-admin]-rule[0]])',
      '',
      ' | listener | listener | taken | 127.0.0.1:0',
      ' | filter chain | chain | taken',
      ' | virtual host | all | taken | *',
      ' | route | moved | passed over | path /admin/x',
      ' | route | rest | taken | prefix /',
      ' | policy | ns[shop]-policy[no-admin]-rule[0] | matches | DENY',
      ' | filter | rbac | answers | 403 rbac_access_denied_matched_policy[ns[shop]-policy[no-admin]-rule[0]]',
      '',
    ].join('\n'),
  );
  t.regex(
    ask(table, { ...at, path: '/old?x=1' }),
    /answered with 301 by moved \(direct_response, to http:\/\/shop\/new\?x=1\)/,
  );
  t.regex(ask(table, { ...at, path: '/items' }), /forwarded to reviews \(timeout 2000 ms\)/);
  t.regex(ask(table, { listener: 'other' }), /the connection is refused by other: no listener/);
});

test('callers without a certificate are told from those with one, and bytes from requests', (t) => {
  const only: Rbac = {
    action: 'ALLOW',
    policies: [
      {
        name: 'front',
        permissions: everyone,
        principals: [{ kind: 'authenticated', match: { text: 'front', test: (name) => name.endsWith('/front') } }],
      },
    ],
    prefix: '',
    shadow: null,
  };
  const table = tableOf({
    listeners: [
      listenerOf([chainOf({ networkRbac: [only], tcp: tcpOf('db'), tls: { certificates: ['default'] } as never })]),
    ],
    clusters: [clusterOf('db', [])],
  });
  t.regex(ask(table, { listener: 'listener', principal: 'spiffe://x/front' }), /relayed as bytes to db/);
  t.regex(ask(table, { listener: 'listener', principal: 'spiffe://x/other' }), /refused by rbac: rbac_access_denied/);
});

test('a question that cannot be answered is refused by the name of what is wrong with it', (t) => {
  const reads = (text: string) => t.throws(() => readQuestion(new URLSearchParams(text)))!.message;
  t.regex(reads('path=/'), /^port: is missing/);
  t.regex(reads('port=70000'), /^port: "70000" is no port/);
  t.regex(reads('port=80&source=here'), /^source: "here" is no IP address/);
  t.regex(reads('port=80&header=oops'), /^header: "oops" has no colon/);
  t.regex(reads('port=80&path=a'), /^path: "a" does not begin with \//);
  t.regex(reads('port=80&host=a'), /^host: is no parameter; there are method, authority/);
});
