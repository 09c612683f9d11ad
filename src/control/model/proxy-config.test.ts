import test from 'ava';
import type { ProxyConfig, ProxyConfigSpec } from '../../api/istio/proxy-config.ts';
import { proxySettingsOf } from './proxy-config.ts';

const of = (namespace: string, spec: ProxyConfigSpec, creationTimestamp = '2026-01-01T00:00:00Z'): ProxyConfig => ({
  apiVersion: 'networking.istio.io/v1beta1',
  kind: 'ProxyConfig',
  metadata: { name: 'x', namespace, creationTimestamp },
  spec,
});

test('the root namespace’s below the namespace’s, those that select apart', (t) => {
  const all = [
    of('istio-system', { concurrency: 1, environmentVariables: { A: 'root', B: 'root' } }),
    of('shop', { environmentVariables: { B: 'shop' } }),
    of('shop', { concurrency: 0, selector: { matchLabels: { app: 'cart' } } }),
    of('other', { concurrency: 9 }),
  ];
  t.deepEqual(proxySettingsOf(all, 'istio-system', 'shop', { app: 'cart' }), {
    below: { concurrency: 1, proxyMetadata: { A: 'root', B: 'shop' } },
    above: { concurrency: 0 },
  });
  t.deepEqual(proxySettingsOf(all, 'istio-system', 'shop', { app: 'till' }).above, {});
  t.deepEqual(proxySettingsOf([], 'istio-system', 'shop', {}), { below: {}, above: {} });
});

test('of two at one level the older counts', (t) => {
  const all = [of('shop', { concurrency: 2 }, '2026-02-01T00:00:00Z'), of('shop', { concurrency: 1 })];
  t.is(proxySettingsOf(all, 'istio-system', 'shop', {}).below.concurrency, 1);
});
