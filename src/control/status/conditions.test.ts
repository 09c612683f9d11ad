import test from 'ava';
import { resource } from '../../kube/object.ts';
import { ObjectServer } from '../../kube/testing/object-server.ts';
import type { Finding } from '../analyze/finding.ts';
import { Discovery } from '../serve/discovery.ts';
import { Metrics } from '../serve/metrics.ts';
import type { Problem } from '../translate/problem.ts';
import { statusFor, writeConditions } from './conditions.ts';
import { ObjectChanges } from './distribution.ts';

const virtualServices = resource('networking.istio.io/v1', 'VirtualService', 'virtualservices');
const object = (name: string, status?: object) => ({
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name, namespace: 'shop', generation: 3 },
  spec: { hosts: ['x'] },
  ...(status ? { status } : {}),
});
const problem = (name: string, message: string): Problem => ({
  kind: 'VirtualService',
  namespace: 'shop',
  name,
  path: 'spec.hosts[0]',
  message,
});

const finding = (name: string): Finding => ({
  code: 'IST0101',
  resource: object(name),
  path: 'spec.gateways[0]',
  message: 'Referenced gateway not found: "shop/x"',
});

test('a condition is written only when it says something new', (t) => {
  const of = (status: object | undefined, found: Problem[], when: string) =>
    statusFor(object('a', status), { problems: found, findings: [], progress: null }, when);
  t.is(of(undefined, [], 'now'), null, 'what never had a problem is left alone');
  const wrong = of(undefined, [problem('a', 'is unknown')], 'now')!;
  t.like(wrong.conditions?.[0], { status: 'False', message: 'spec.hosts[0]: is unknown', observedGeneration: 3 });
  t.is(of(wrong, [problem('a', 'is unknown')], 'later'), null);
  t.is(of(wrong, [problem('a', 'is odd')], 'later')?.conditions?.[0].lastTransitionTime, 'now');
  t.like(of(wrong, [], 'later')?.conditions?.[0], { status: 'True', reason: 'Accepted', lastTransitionTime: 'later' });
});

test('the analysis is told by its codes, and taken back', (t) => {
  const told = statusFor(object('a'), { problems: [], findings: [finding('a')], progress: null }, 'now')!;
  t.deepEqual(told.validationMessages, [
    {
      type: { code: 'IST0101', name: 'ReferencedResourceNotFound' },
      level: 'ERROR',
      documentationUrl: 'https://istio.io/latest/docs/reference/config/analysis/ist0101/',
    },
  ]);
  t.like(told.conditions?.[0], {
    type: 'PassedAnalysis',
    status: 'False',
    reason: 'issuesFound',
    message: 'spec.gateways[0]: Referenced gateway not found: "shop/x"',
  });
  t.is(statusFor(object('a', told), { problems: [], findings: [finding('a')], progress: null }, 'later'), null);
  const well = statusFor(object('a', told), { problems: [], findings: [], progress: null }, 'later')!;
  t.deepEqual(well.validationMessages, []);
  t.like(well.conditions?.[0], { type: 'PassedAnalysis', status: 'True', reason: 'noIssuesFound' });
});

test('problems and proxies that are behind share one condition', (t) => {
  const progress = { total: 120, behind: 2, refused: [{ proxy: 'cart-1.shop', reason: 'no' }], isFresh: false };
  const said = (problems: Problem[], more: Partial<typeof progress>, status?: object, replica: string | null = null) =>
    statusFor(object('a', status), { problems, findings: [], progress: { ...progress, ...more } }, 'now', replica)!;
  const refused = said([], {});
  t.like(refused.conditions?.[0], {
    ...{ status: 'False', reason: 'Refused', observedGeneration: 3 },
    message: '118/120 proxies up to date; refused by cart-1.shop: no',
  });
  t.like(said([problem('a', 'is odd')], {}).conditions?.[0], {
    reason: 'Invalid',
    message: 'spec.hosts[0]: is odd; 118/120 proxies up to date; refused by cart-1.shop: no',
  });
  t.like(said([], { refused: [] }, undefined, 'istiod-x').conditions?.[0], {
    reason: 'Pending',
    message: '118/120 proxies up to date, of those connected to istiod-x',
  });
  const many = Array.from({ length: 5 }, (_, i) => ({ proxy: `p${i}`, reason: 'no' }));
  t.regex(said([], { refused: many }).conditions?.[0].message ?? '', /p0: no; .*p2: no; refused by 2 more$/);
  const well = said([], { behind: 0, refused: [] }, refused);
  t.like(well.conditions?.[0], { status: 'True', reason: 'Accepted', message: '120/120 proxies up to date' });
  const quiet = { problems: [], findings: [], progress: null };
  t.is(statusFor(object('a', well), quiet, 'later'), null, 'what is well is not told again');
});

test('the leader tells of problems, takes back what is mended, and what an earlier leader left', async (t) => {
  const api = await ObjectServer.start();
  t.teardown(() => api.stop());
  const client = api.client();
  for (const name of ['a', 'b', 'c']) await client.create(virtualServices, object(name));
  const left = { type: 'Reconciled', status: 'False', reason: 'Invalid', message: 'old', lastTransitionTime: 'then' };
  await client.patchStatus(virtualServices, 'c', 'shop', { conditions: [{ ...left, type: 'Theirs' }, left] });

  let problems = [problem('a', 'is unknown')];
  let findings = [finding('b')];
  let tell = () => {};
  const mesh = {
    isReady: true,
    snapshot: null,
    findProblems: async () => problems,
    analyze: () => findings,
    onProblems: (listener: () => void) => {
      tell = listener;
      return () => {};
    },
  };
  const ending = new AbortController();
  const proxies = {
    discovery: new Discovery({ identifier: 'test', resourcesFor: () => null, metrics: new Metrics() }),
    changes: new ObjectChanges(),
    replica: () => null,
  };
  const onError = (error: Error) => t.fail(error.message);
  const done = writeConditions({ client, mesh, proxies, settleMs: 1, onError }, ending.signal);
  const statusOf = (name: string) => {
    const { conditions = [] } = (api.find('VirtualService', name)?.status ?? {}) as { conditions?: object[] };
    return conditions.map((each) => `${(each as typeof left).type} ${(each as typeof left).status}`).join();
  };
  await api.until(() => statusOf('a') === 'Reconciled False' && statusOf('c') === 'Theirs False,Reconciled True');
  await api.until(() => statusOf('b') === 'PassedAnalysis False');
  problems = [];
  findings = [];
  tell();
  await api.until(() => statusOf('a') === 'Reconciled True' && statusOf('b') === 'PassedAnalysis True');
  const writes = api.writes.length;
  tell();
  ending.abort();
  await done;
  t.is(api.writes.length, writes);
});
