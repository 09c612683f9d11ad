import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import test from 'ava';
import patches, { type Operation } from 'fast-json-patch';
import { clientOf } from '../kube/connect.ts';
import { directConnection } from '../kube/connection.ts';
import { patchCaBundles } from './ca-bundle.ts';

const log = { info() {}, warn() {}, error() {} };

const webhook = (name: string, service: string, namespace = 'istio-system') => ({
  name,
  clientConfig: { service: { name: service, namespace }, caBundle: '' },
});

/** An API server that has the two kinds of webhook configurations, over real HTTP. */
async function start() {
  const objects: Record<string, object> = {
    mutatingwebhookconfigurations: {
      metadata: { name: 'istio-sidecar-injector', labels: { 'istio.io/rev': 'default' } },
      webhooks: [webhook('ours', 'istiod'), webhook('theirs', 'other'), webhook('elsewhere', 'istiod', 'other')],
    },
    validatingwebhookconfigurations: {
      metadata: { name: 'istio-validator', labels: { 'istio.io/rev': 'default' } },
      webhooks: [webhook('ours', 'istiod')],
    },
  };
  const asked: string[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://x');
    const [, plural = '', name] = /\/v1\/(\w+)(?:\/(.+))?$/.exec(url.pathname) ?? [];
    asked.push(`${request.method} ${plural}`);
    response.setHeader('content-type', 'application/json');
    if (request.method === 'GET' && !name) {
      const wanted = url.searchParams.get('labelSelector') === 'istio.io/rev=default';
      response.end(JSON.stringify({ metadata: { resourceVersion: '1' }, items: wanted ? [objects[plural]] : [] }));
      return;
    }
    let body = '';
    request.on('data', (part) => {
      body += part;
    });
    request.on('end', () => {
      objects[plural] = patches.applyPatch(objects[plural], JSON.parse(body) as Operation[], true, false).newDocument;
      response.end(JSON.stringify(objects[plural]));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const kube = clientOf(directConnection(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  const bundles = () =>
    Object.values(objects).flatMap((object) =>
      (object as { webhooks: Array<{ clientConfig: { caBundle: string } }> }).webhooks.map(({ clientConfig }) =>
        Buffer.from(clientConfig.caBundle, 'base64').toString(),
      ),
    );
  return { kube, asked, bundles, close: () => server.close() };
}

test('the root goes into the webhooks of this control plane and no others, and is written once', async (t) => {
  const { kube, asked, bundles, close } = await start();
  const options = { kube, revision: 'default', namespace: 'istio-system', log };
  t.is(await patchCaBundles('root one', options), 2);
  t.deepEqual(bundles(), ['root one', '', '', 'root one']);
  asked.length = 0;
  t.is(await patchCaBundles('root one', options), 0);
  t.deepEqual(asked, ['GET mutatingwebhookconfigurations', 'GET validatingwebhookconfigurations']);
  t.is(await patchCaBundles('root two', options), 2);
  t.deepEqual(bundles(), ['root two', '', '', 'root two']);
  t.is(await patchCaBundles('root three', { ...options, revision: 'canary' }), 0);
  kube.close();
  close();
});
