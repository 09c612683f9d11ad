import type { IncomingMessage } from 'node:http';
import test, { type ExecutionContext } from 'ava';
import { ApiServer, sendJson } from '../../kube/testing/api-server.ts';
import { version } from '../../lib/version.ts';
import { lateen } from '../testing/command.ts';
import { syncWord } from './proxy-status.ts';

const isFor = (part: string) => (request: IncomingMessage) => (request.url ?? '').includes(part);

function pod(name: string, revision?: string) {
  return {
    metadata: {
      name,
      namespace: 'istio-system',
      labels: { app: 'istiod', ...(revision && { 'istio.io/rev': revision }) },
    },
    spec: { containers: [{ name: 'discovery', image: 'docker.io/lateen/lateen:1.2.3' }] },
  };
}

const proxies = [
  {
    proxy: 'reviews-2.shop',
    cluster_id: 'Kubernetes',
    istio_version: '0.1.0',
    cluster_sent: 'a',
    cluster_acked: 'a',
    listener_sent: 'b',
    listener_acked: 'a',
  },
  {
    proxy: 'cart-1.other',
    cluster_id: 'Kubernetes',
    istio_version: '0.1.0',
    cluster_sent: 'a',
    cluster_acked: 'a',
    listener_sent: 'b',
    listener_acked: 'b',
    route_sent: 'c',
    route_acked: 'c',
    endpoint_sent: 'd',
    endpoint_acked: 'd',
  },
];

async function clusterOf(
  t: ExecutionContext,
  pods: object[],
  answers: Array<[path: string, body: object, status?: number]>,
) {
  const api = await ApiServer.start();
  t.teardown(() => api.stop());
  const list = { metadata: { resourceVersion: '1' }, items: pods };
  for (let times = 0; times < 2; times++) api.next(isFor('/pods?'), (_, response) => sendJson(response, 200, list));
  for (const [path, body, status = 200] of answers)
    api.next(isFor(path), (_, response) => sendJson(response, status, body));
  return api.client();
}

test('a table of every proxy', async (t) => {
  const cluster = await clusterOf(t, [pod('istiod-1')], [['istiod-1:15014/proxy/debug/syncz', proxies]]);
  const { code, stdout } = await lateen(['proxy-status'], { cluster });
  t.is(code, 0);
  t.deepEqual(
    stdout.split('\n').map((line) => line.split(/ {2,}/)),
    [
      ['NAME', 'CLUSTER', 'CDS', 'LDS', 'EDS', 'RDS', 'ECDS', 'ISTIOD', 'VERSION'],
      ['cart-1.other', 'Kubernetes', 'SYNCED', 'SYNCED', 'SYNCED', 'SYNCED', 'IGNORED', 'istiod-1', '0.1.0'],
      ['reviews-2.shop', 'Kubernetes', 'SYNCED', 'STALE', 'NOT SENT', 'NOT SENT', 'IGNORED', 'istiod-1', '0.1.0'],
      [''],
    ],
  );
});

test('one proxy, one namespace, as JSON', async (t) => {
  for (const words of [['reviews-2.shop'], ['reviews-2', '-n', 'shop'], ['-n', 'shop']]) {
    const cluster = await clusterOf(t, [pod('istiod-1')], [['/debug/syncz', proxies]]);
    const { stdout } = await lateen(['ps', ...words, '-o', 'json'], { cluster });
    t.deepEqual(JSON.parse(stdout), [{ ...proxies[0], istiod: 'istiod-1' }]);
  }
});

test('a proxy that nobody knows', async (t) => {
  const cluster = await clusterOf(t, [pod('istiod-1')], [['/debug/syncz', proxies]]);
  const { code, stderr } = await lateen(['ps', 'nobody.shop'], { cluster });
  t.is(code, 1);
  t.is(stderr, 'Error: no control plane knows a proxy nobody.shop\n"lateen proxy-status" lists them\n');
});

test('no control plane', async (t) => {
  const cluster = await clusterOf(t, [], []);
  const { code, stderr } = await lateen(['ps', '-i', 'mesh'], { cluster });
  t.is(code, 1);
  t.regex(stderr, /no control plane runs in namespace mesh/);
});

test('one control plane of two answers', async (t) => {
  const cluster = await clusterOf(
    t,
    [pod('istiod-1'), pod('istiod-2', 'canary')],
    [
      ['istiod-1:15014', proxies],
      ['istiod-2:15014', { message: 'no endpoints' }, 404],
    ],
  );
  const { code, stdout, stderr } = await lateen(['ps'], { cluster });
  t.is(code, 0);
  t.regex(stderr, /^! istiod-2 did not answer: .*no endpoints/);
  t.is(stdout.trim().split('\n').length, 3);
});

test('no cluster', async (t) => {
  t.deepEqual(await lateen(['ps']), {
    code: 1,
    stdout: '',
    stderr: 'Error: no Kubernetes cluster: none is configured\n',
  });
});

test('the words of istioctl', (t) => {
  t.deepEqual(
    [syncWord('', '', 'NOT SENT'), syncWord('a', 'a', ''), syncWord('b', 'a', ''), syncWord('b', undefined, '')],
    ['NOT SENT', 'SYNCED', 'STALE', 'STALE'],
  );
});

test('version of everything', async (t) => {
  const cluster = await clusterOf(
    t,
    [pod('istiod-1'), pod('istiod-2')],
    [
      ['istiod-1:15014/proxy/version', { version: '0.1.0' }],
      ['istiod-2:15014/proxy/version', {}],
      ['istiod-1:15014/proxy/debug/syncz', proxies],
      ['istiod-2:15014/proxy/debug/syncz', []],
    ],
  );
  const { stdout } = await lateen(['version'], { cluster });
  t.is(
    stdout,
    `client version: ${version}\ncontrol plane version: 0.1.0\ncontrol plane version: 1.2.3\ndata plane version: 0.1.0 (2 proxies)\n`,
  );
});

test('version without a cluster is still a version', async (t) => {
  const { code, stdout, stderr } = await lateen(['version', '-o', 'json']);
  t.is(code, 0);
  t.is(JSON.parse(stdout).clientVersion.version, version);
  t.regex(stderr, /^! the cluster was not asked: no Kubernetes cluster/);
  t.deepEqual(await lateen(['version', '--remote=false']), {
    code: 0,
    stdout: `client version: ${version}\n`,
    stderr: '',
  });
  t.deepEqual(await lateen(['--version']), { code: 0, stdout: `client version: ${version}\n`, stderr: '' });
});
