import test from 'ava';
import { resource } from '../../kube/object.ts';
import { ObjectServer } from '../../kube/testing/object-server.ts';
import type { Finding } from '../analyze/finding.ts';
import type { Problem } from '../translate/problem.ts';
import { statusFor, writeConditions } from './conditions.ts';

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
    statusFor(object('a', status), { problems: found, findings: [] }, when);
  t.is(of(undefined, [], 'now'), null, 'what never had a problem is left alone');
  const wrong = of(undefined, [problem('a', 'is unknown')], 'now')!;
  t.like(wrong.conditions?.[0], { status: 'False', message: 'spec.hosts[0]: is unknown', observedGeneration: 3 });
  t.is(of(wrong, [problem('a', 'is unknown')], 'later'), null);
  t.is(of(wrong, [problem('a', 'is odd')], 'later')?.conditions?.[0].lastTransitionTime, 'now');
  t.like(of(wrong, [], 'later')?.conditions?.[0], { status: 'True', reason: 'Accepted', lastTransitionTime: 'later' });
});

test('the analysis is told by its codes, and taken back', (t) => {
  const told = statusFor(object('a'), { problems: [], findings: [finding('a')] }, 'now')!;
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
  t.is(statusFor(object('a', told), { problems: [], findings: [finding('a')] }, 'later'), null);
  const well = statusFor(object('a', told), { problems: [], findings: [] }, 'later')!;
  t.deepEqual(well.validationMessages, []);
  t.like(well.conditions?.[0], { type: 'PassedAnalysis', status: 'True', reason: 'noIssuesFound' });
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
    findProblems: async () => problems,
    analyze: () => findings,
    onProblems: (listener: () => void) => {
      tell = listener;
      return () => {};
    },
  };
  const ending = new AbortController();
  const done = writeConditions({ client, mesh, settleMs: 1, onError: (error) => t.fail(error.message) }, ending.signal);
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
