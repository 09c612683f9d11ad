import test from 'ava';
import { configMaps, namespaces, type Secret, secrets } from '../../kube/object.ts';
import { ObjectServer } from '../../kube/testing/object-server.ts';
import { makeRoot } from './authority.ts';
import { authenticator, rememberingReviewer } from './caller.ts';
import { keptMaterial } from './kubernetes-keys.ts';
import { distributeRoot, rootConfigMap } from './root-distribution.ts';

const encoded = (data: Record<string, string>) =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
const secretOf = (name: string, data: Record<string, string>): Secret => ({
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name, namespace: 'istio-system' },
  data: encoded(data),
});

test('replicas that start at once agree on one root', async (t) => {
  const api = await ObjectServer.start();
  t.teardown(() => api.stop());
  const made = await Promise.all(
    Array.from({ length: 4 }, () => keptMaterial(api.client(), 'istio-system', 'cluster.local')),
  );
  t.is(new Set(made.map(({ key }) => key)).size, 1);
  t.is(new Set(made.map(({ roots }) => roots)).size, 1);
  t.is(api.find('Secret', 'istio-ca-secret')?.metadata.name, 'istio-ca-secret');
});

test('a plugged-in CA comes first, and half of one is an error rather than a new root', async (t) => {
  const api = await ObjectServer.start();
  t.teardown(() => api.stop());
  const client = api.client();
  const { certificate, key, roots } = await makeRoot('corp');
  await keptMaterial(client, 'istio-system', 'cluster.local');
  await client.create(secrets, secretOf('cacerts', { 'ca-cert.pem': certificate, 'root-cert.pem': roots }));
  await t.throwsAsync(keptMaterial(client, 'istio-system', 'cluster.local'), {
    message: /Secret istio-system\/cacerts: key ca-key.pem is missing/,
  });
  await client.patch(secrets, 'cacerts', 'istio-system', { data: encoded({ 'ca-key.pem': key }) });
  t.is((await keptMaterial(client, 'istio-system', 'cluster.local')).key, key);
});

test('the root is in every namespace, comes back when it is changed or deleted, and is not written twice', async (t) => {
  const api = await ObjectServer.start();
  t.teardown(() => api.stop());
  const client = api.client();
  const namespace = (name: string) =>
    client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
  for (const name of ['shop', 'kube-system', 'kube-public']) await namespace(name);
  const ending = new AbortController();
  const onError = (error: Error) => t.fail(error.message);
  const done = distributeRoot({ client, roots: () => 'ROOT', onError }, ending.signal);
  const holders = () =>
    api
      .all('ConfigMap')
      .filter((map) => (map as { data?: Record<string, string> }).data?.['root-cert.pem'] === 'ROOT')
      .map(({ metadata }) => metadata.namespace)
      .sort()
      .join();
  await api.until(() => holders() === 'kube-system,shop');
  await namespace('late');
  await api.until(() => holders() === 'kube-system,late,shop');
  await client.patch(configMaps, rootConfigMap, 'shop', { data: { 'root-cert.pem': 'evil' } });
  await api.until(() => holders() === 'kube-system,late,shop');
  await client.delete(configMaps, rootConfigMap, 'late');
  await api.until(() => holders() === 'kube-system,late,shop');
  const applies = api.writes.filter((write) => write.startsWith('PATCH')).length;
  t.is(applies, 6, '3 namespaces, 1 edit of the test, 2 repairs');
  ending.abort();
  await done;
});

test('a token is reviewed once, a refusal each time, and a shown certificate of another mesh counts for nothing', async (t) => {
  let reviews = 0;
  let now = 0;
  const identity = { trustDomain: 'cluster.local', namespace: 'shop', serviceAccount: 'cart' };
  const review = rememberingReviewer(
    async (token) => {
      reviews++;
      if (token !== 'good') throw new Error('no');
      return identity;
    },
    { rememberMs: 100, maxTokens: 2, nowMs: () => now },
  );
  await Promise.all([review('good'), review('good')]);
  t.is(reviews, 1);
  now = 101;
  await review('good');
  t.is(reviews, 2);
  await t.throwsAsync(review('bad'));
  await t.throwsAsync(review('bad'));
  t.is(reviews, 4);
  const authenticate = authenticator(review, 'cluster.local');
  const peer = (uri: string) => ({ token: null, peer: { subjectaltname: `URI:${uri}` } as never });
  t.deepEqual(await authenticate(peer('spiffe://cluster.local/ns/shop/sa/cart')), identity);
  await t.throwsAsync(authenticate(peer('spiffe://elsewhere/ns/shop/sa/cart')), { message: /trust domain/ });
  await t.throwsAsync(authenticate({ token: null, peer: null }), { message: /neither/ });
});
