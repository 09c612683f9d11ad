import { fromBinary } from '@bufbuild/protobuf';
import test from 'ava';
import { secrets } from '../../kube/object.ts';
import { ObjectServer } from '../../kube/testing/object-server.ts';
import { SecretSchema } from '../../xds/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js';
import { KubernetesSecrets } from '../watch/kubernetes-secrets.ts';
import { resourcesOfSecret, tlsSecretOf } from './gateway-secrets.ts';

const base64 = (data: Record<string, string>) =>
  Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));

test('both of the layouts that Istio takes become the same resources', (t) => {
  const layouts: Array<Record<string, string>> = [
    { 'tls.crt': 'CERT', 'tls.key': 'KEY', 'ca.crt': 'CA' },
    { cert: 'CERT', key: 'KEY', cacert: 'CA' },
  ];
  for (const data of layouts) {
    const resources = resourcesOfSecret('shop', tlsSecretOf(base64(data))!);
    t.deepEqual([...resources.keys()], ['kubernetes://shop', 'kubernetes://shop-cacert']);
    const { type } = fromBinary(SecretSchema, resources.get('kubernetes://shop')!.any.value);
    t.like(type, {
      case: 'tlsCertificate',
      value: { privateKey: { specifier: { case: 'inlineString', value: 'KEY' } } },
    });
  }
  t.deepEqual(
    [...resourcesOfSecret('shop-cacert', tlsSecretOf(base64({ cacert: 'CA' }))!).keys()],
    ['kubernetes://shop-cacert'],
  );
  t.is(tlsSecretOf(base64({ password: 'x' })), null);
  t.is(tlsSecretOf(base64({ 'tls.crt': 'CERT' })), null, 'a certificate without its key is nothing');
});

test('a gateway is given what its own namespace holds, and told when that changes', async (t) => {
  const api = await ObjectServer.start();
  t.teardown(() => api.stop());
  const client = api.client();
  const make = (namespace: string, name: string, data: Record<string, string>) =>
    client.create(secrets, { apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace }, data: base64(data) });
  await make('edge', 'shop', { 'tls.crt': 'ONE', 'tls.key': 'KEY' });
  await make('other', 'theirs', { 'tls.crt': 'TWO', 'tls.key': 'KEY' });
  const ending = new AbortController();
  t.teardown(() => ending.abort());
  const source = new KubernetesSecrets(client, (error) => t.fail(error.message));
  await source.start(ending.signal);
  t.deepEqual([...source.of('edge', []).keys()], ['kubernetes://shop']);
  const before = source.of('edge', []).get('kubernetes://shop')!.version;
  const changed = new Promise<void>((resolve) => source.onChange(resolve));
  await make('edge', 'password', { password: 'x' });
  await client.patch(secrets, 'shop', 'edge', { data: base64({ 'tls.crt': 'NEW' }) });
  await changed;
  t.not(source.of('edge', []).get('kubernetes://shop')!.version, before);
  t.deepEqual([...source.of('edge', []).keys()], ['kubernetes://shop']);
});
