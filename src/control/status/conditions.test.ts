import test from 'ava';
import { resource } from '../../kube/object.ts';
import { ObjectServer } from '../../kube/testing/object-server.ts';
import type { Problem } from '../translate/problem.ts';
import { conditionFor, writeConditions } from './conditions.ts';

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

test('a condition is written only when it says something new', (t) => {
  t.is(conditionFor(object('a'), [], 'now'), null, 'what never had a problem is left alone');
  const wrong = conditionFor(object('a'), [problem('a', 'is unknown')], 'now')!;
  t.like(wrong, { status: 'False', message: 'spec.hosts[0]: is unknown', observedGeneration: 3 });
  const told = object('a', { conditions: [wrong] });
  t.is(conditionFor(told, [problem('a', 'is unknown')], 'later'), null);
  t.is(conditionFor(told, [problem('a', 'is odd')], 'later')?.lastTransitionTime, 'now');
  t.like(conditionFor(told, [], 'later'), { status: 'True', reason: 'Accepted', lastTransitionTime: 'later' });
});

test('the leader tells of problems, takes back what is mended, and what an earlier leader left', async (t) => {
  const api = await ObjectServer.start();
  t.teardown(() => api.stop());
  const client = api.client();
  for (const name of ['a', 'b', 'c']) await client.create(virtualServices, object(name));
  const left = { type: 'Reconciled', status: 'False', reason: 'Invalid', message: 'old', lastTransitionTime: 'then' };
  await client.patchStatus(virtualServices, 'c', 'shop', { conditions: [{ ...left, type: 'Theirs' }, left] });

  let problems = [problem('a', 'is unknown')];
  let tell = () => {};
  const mesh = {
    isReady: true,
    findProblems: async () => problems,
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
  problems = [];
  tell();
  await api.until(() => statusOf('a') === 'Reconciled True');
  t.is(statusOf('b'), '');
  const writes = api.writes.length;
  tell();
  ending.abort();
  await done;
  t.is(api.writes.length, writes);
});
