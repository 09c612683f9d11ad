import test from 'ava';
import { clientOf, pathOf } from './connect.ts';
import { directConnection, inClusterConnection } from './connection.ts';
import { ApiError } from './error.ts';
import { type ConfigMap, configMaps, namespaces, pods } from './object.ts';
import { ApiServer, sendJson } from './testing/api-server.ts';

const any = () => true;

test('paths of core and grouped, namespaced and cluster-scoped kinds', (t) => {
  t.is(pathOf(pods, 'shop', 'cart'), '/api/v1/namespaces/shop/pods/cart');
  t.is(pathOf(pods), '/api/v1/pods');
  t.is(pathOf(namespaces, undefined, 'shop'), '/api/v1/namespaces/shop');
  t.throws(() => pathOf(pods, undefined, 'cart'), { message: /Pod cart: its namespace is missing/ });
});

test('429, 503 and 500 are retried, with the server’s patience', async (t) => {
  const api = await ApiServer.start();
  t.teardown(() => api.stop());
  for (const status of [429, 503, 500])
    api.next(any, (_request, response) => sendJson(response, status, { message: 'later' }));
  api.next(any, (request) => request.socket.destroy());
  api.put('a', '1');
  const { items } = await api.client().list(configMaps);
  t.is(items.length, 1);
  t.is(api.requests.length, 5);
});

test('gives up after its attempts and says what the server said', async (t) => {
  const api = await ApiServer.start();
  t.teardown(() => api.stop());
  for (let times = 0; times < 9; times++)
    api.next(any, (_request, response) =>
      sendJson(response, 503, { reason: 'ServiceUnavailable', message: 'etcd is away' }),
    );
  const error = await t.throwsAsync(api.client().get(configMaps, 'a', 'default'), { instanceOf: ApiError });
  t.is(error?.message, 'GET /api/v1/namespaces/default/configmaps/a: etcd is away (503 ServiceUnavailable)');
  t.is(api.requests.length, 5);
});

test('a creation is not repeated when it may have happened', async (t) => {
  const api = await ApiServer.start();
  t.teardown(() => api.stop());
  const object: ConfigMap = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'a', namespace: 'default' } };
  api.next(any, (request) => request.socket.destroy());
  await t.throwsAsync(api.client().create(configMaps, object), { instanceOf: ApiError });
  api.next(any, (_request, response) => sendJson(response, 500, { message: 'perhaps' }));
  await t.throwsAsync(api.client().create(configMaps, object), { message: /perhaps/ });
  t.is(api.requests.length, 2);
});

test('nobody listens: bounded, and told with the system’s code', async (t) => {
  const api = await ApiServer.start();
  const client = api.client();
  await api.stop();
  const error = await t.throwsAsync<ApiError>(client.get(configMaps, 'a', 'default'), { instanceOf: ApiError });
  t.is(error?.code, 0);
  t.is(error?.reason, 'ECONNREFUSED');
});

test('absent objects are null, deleting one is false', async (t) => {
  const api = await ApiServer.start();
  t.teardown(() => api.stop());
  const missing = { kind: 'Status', reason: 'NotFound', message: 'configmaps "a" not found' };
  for (let times = 0; times < 2; times++) api.next(any, (_request, response) => sendJson(response, 404, missing));
  t.is(await api.client().get(configMaps, 'a', 'default'), null);
  t.false(await api.client().delete(configMaps, 'a', 'default'));
});

test('a renewed token is read again after a 401', async (t) => {
  const api = await ApiServer.start();
  t.teardown(() => api.stop());
  const renewals: boolean[] = [];
  const base = directConnection(api.url);
  const client = clientOf({
    ...base,
    credentials: async (renew) => {
      renewals.push(renew);
      return base.credentials(renew);
    },
  });
  api.next(any, (_request, response) => sendJson(response, 401, { message: 'token expired' }));
  await client.list(configMaps);
  t.deepEqual(renewals, [false, true]);
  api.next(any, (_request, response) => sendJson(response, 401, { message: 'token expired' }));
  api.next(any, (_request, response) => sendJson(response, 401, { message: 'token expired' }));
  await t.throwsAsync(client.list(configMaps), { message: /401/ });
});

test('an answer that does not come is given up', async (t) => {
  const api = await ApiServer.start();
  t.teardown(() => api.stop());
  api.next(any, () => {});
  const error = await t.throwsAsync<ApiError>(
    clientOf(directConnection(api.url), { attempts: 1 }).get(configMaps, 'a', 'default', { timeoutMs: 30 }),
  );
  t.is(error?.reason, 'Timeout');
});

test('outside a pod there is no in-cluster connection', (t) => {
  t.throws(() => inClusterConnection('/nowhere', {}), { message: /KUBERNETES_SERVICE_HOST/ });
});
