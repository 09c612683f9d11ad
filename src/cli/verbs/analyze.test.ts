import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { namespaces, pods, resource, secrets, services } from '../../kube/object.ts';
import { ObjectServer } from '../../kube/testing/object-server.ts';
import { lateen } from '../testing/command.ts';

const service = (name: string) => `apiVersion: v1
kind: Service
metadata: {name: ${name}, namespace: shop}
spec: {ports: [{name: http, port: 80}]}
---
`;
const virtualService = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata:
  name: cart
  namespace: shop
spec:
  hosts: [cart]
  http:
    - route:
        - destination:
            host: crat
`;

async function file(t: { teardown(work: () => Promise<void>): void }, text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'lateen-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const path = join(folder, 'mesh.yaml');
  await writeFile(path, text);
  return path;
}

test('files alone: code, resource, line and what was probably meant', async (t) => {
  const path = await file(t, service('cart') + virtualService);
  t.deepEqual(await lateen(['analyze', '--use-kube=false', path]), {
    code: 79,
    stdout: `Error [IST0101] (VirtualService shop/cart ${path}:16) spec.http[0].route[0].destination.host: Referenced host not found: "crat"; did you mean "cart"?\n`,
    stderr: `✘ Analyzers found issues when analyzing ${path}.\n`,
  });
});

test('nothing to say', async (t) => {
  const path = await file(t, service('cart') + service('crat') + virtualService);
  t.deepEqual(await lateen(['analyze', '--use-kube=false', path]), {
    code: 0,
    stdout: '',
    stderr: `✔ No validation issues found when analyzing ${path}.\n`,
  });
});

test('JSON and nothing but JSON on standard output, as istioctl writes it', async (t) => {
  const path = await file(t, virtualService);
  const { stdout, code } = await lateen(['analyze', '-k=false', '-o', 'json', path]);
  t.is(code, 79);
  t.deepEqual(JSON.parse(stdout), [
    {
      code: 'IST0101',
      documentationUrl: 'https://istio.io/latest/docs/reference/config/analysis/ist0101/',
      level: 'Error',
      message: 'Referenced host not found: "crat"',
      name: 'ReferencedResourceNotFound',
      origin: 'VirtualService shop/cart',
      path: 'spec.http[0].route[0].destination.host',
      reference: `${path}:11`,
    },
  ]);
  t.deepEqual(JSON.parse((await lateen(['analyze', '-k=false', '-o', 'json', path, '-S', 'IST0101=*'])).stdout), []);
});

test('thresholds, and what is wrong with the command line', async (t) => {
  const path = await file(t, virtualService);
  t.is((await lateen(['analyze', '-k=false', path, '-S', 'IST0101=VirtualService shop/*'])).code, 0);
  const warned = await file(t, `${service('plain').replace('http,', 'web,')}`);
  const one = await lateen(['analyze', '-k=false', warned]);
  t.is(one.code, 0);
  t.regex(one.stdout, /^Info \[IST0118\]/);
  t.is((await lateen(['analyze', '-k=false', warned, '--failure-threshold', 'Info'])).code, 79);
  t.is((await lateen(['analyze', '-k=false', warned, '--output-threshold', 'Warning'])).stdout, '');
  t.is((await lateen(['analyze', '-k=false'])).code, 64);
  t.is((await lateen(['analyze', '-k=false', path, '-S', 'IST9999'])).code, 64);
  t.is((await lateen(['analyze', '-k=false', await file(t, 'a: [')])).code, 65);
  t.regex((await lateen(['analyze', '-L'])).stdout, /^ANALYZER +WHAT IT DOES\nschema\.ValidationAnalyzer/);
});

test('a cluster: its namespace or all of them, a file as if it were applied', async (t) => {
  const api = await ObjectServer.start();
  t.teardown(() => api.stop());
  const cluster = () => api.client();
  const client = cluster();
  const virtualServices = resource('networking.istio.io/v1', 'VirtualService', 'virtualservices');
  await client.create(namespaces, {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: 'shop', labels: { 'istio-injection': 'enabled' } },
  });
  await client.create(services, {
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { name: 'cart', namespace: 'shop' } },
    spec: { ports: [{ name: 'http', port: 80 }] },
  });
  await client.create(pods, {
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'bare', namespace: 'shop' } },
    spec: { containers: [{ name: 'a' }] },
  });
  await client.create(secrets, { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's', namespace: 'shop' } });
  await client.create(virtualServices, {
    ...{ apiVersion: 'networking.istio.io/v1', kind: 'VirtualService', metadata: { name: 'cart', namespace: 'shop' } },
    ...{ spec: { hosts: ['cart'], http: [{ route: [{ destination: { host: 'cat' } }] }] } },
  });
  const lines = async (...words: string[]) =>
    (await lateen(['analyze', ...words], { cluster: cluster() })).stdout.split('\n').map((line) => line.slice(0, 60));
  const found = [
    'Error [IST0101] (VirtualService shop/cart) spec.http[0].route',
    'Warning [IST0103] (Pod shop/bare) The pod shop/bare is missi',
    '',
  ].map((line) => line.slice(0, 60));
  t.deepEqual(await lines('-n', 'shop'), found);
  t.deepEqual(await lines('-A'), found);
  t.deepEqual(await lines(), ['']);
  const mended = await file(t, virtualService.replace('crat', 'cart'));
  t.deepEqual(await lines('-n', 'shop', mended), found.slice(1));
});
