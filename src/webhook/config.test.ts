import test from 'ava';
import fc from 'fast-check';
import { InjectionConfigError, parseInjectionConfig } from './config.ts';
import { environmentOfPath } from './path-environment.ts';
import { workloadOf } from './workload.ts';

test('nothing given is a whole configuration', (t) => {
  const config = parseInjectionConfig();
  t.is(config.revision, 'default');
  t.is(config.caAddress, 'istiod.istio-system.svc:15012');
  t.is(config.mesh.defaultConfig.discoveryAddress, 'istiod.istio-system.svc:15012');
  t.deepEqual([config.hub, config.proxy.image, config.nativeSidecars], ['docker.io/lateen', 'lateen', true]);
});

test('values, mesh and the injector config are read together', (t) => {
  const config = parseInjectionConfig({
    mesh: 'trustDomain: example.org\ndefaultConfig: {concurrency: 2, proxyMetadata: {A: b}}',
    values: JSON.stringify({ revision: 'canary', global: { tag: 1.5, proxy: { resources: null } } }),
    config: 'policy: disabled',
    namespace: 'mesh',
  });
  t.is(config.caAddress, 'istiod-canary.mesh.svc:15012');
  t.is(config.trustDomain, 'example.org');
  t.is(config.meshId, 'example.org');
  t.is(config.tag, '1.5');
  t.is(config.policy, 'disabled');
  t.is(config.mesh.defaultConfig.concurrency, 2);
  t.is(config.proxy.resources.requests?.cpu, '100m', 'null counts as absent');
});

test('what is wrong names the key and the field', (t) => {
  const message = (sources: Parameters<typeof parseInjectionConfig>[0]) =>
    t.throws(() => parseInjectionConfig(sources), { instanceOf: InjectionConfigError })?.message;
  t.is(message({ values: '{"global":{"hub":{}}}' }), 'values.global.hub must be text, is {}');
  t.is(message({ config: 'policy: maybe' }), 'config.policy must be enabled or disabled, is "maybe"');
  t.regex(message({ mesh: 'a: [' }) ?? '', /^ConfigMap istio, key mesh: is not valid YAML: /);
  t.is(message({ mesh: '3' }), 'ConfigMap istio, key mesh: must be a mapping, is 3');
  t.regex(
    message({ values: '{"sidecarInjectorWebhook":{"templates":{"own":"{{ .Values.x }}"}}}' }) ?? '',
    /templates must not hold Go template actions: template "own" does/,
  );
  t.is(
    message({ mesh: 'defaultConfig: {interceptionMode: SOME}' }),
    'ConfigMap istio, key mesh: defaultConfig.interceptionMode must be REDIRECT, TPROXY or NONE, is "SOME"',
  );
});

test('whatever the ConfigMaps hold: a configuration, or an error that names the field', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.json(), fc.string()), fc.oneof(fc.json(), fc.string()), (values, mesh) => {
      try {
        t.is(typeof parseInjectionConfig({ values, mesh, config: values }).hub, 'string');
      } catch (error) {
        t.true(error instanceof InjectionConfigError, String((error as Error).stack));
      }
    }),
    { numRuns: 300 },
  );
});

test("the webhook's path carries environment", (t) => {
  t.deepEqual(environmentOfPath('cluster/c2/net/n2/'), { ISTIO_META_CLUSTER_ID: 'c2', ISTIO_META_NETWORK: 'n2' });
  t.deepEqual(environmentOfPath('region/a--slash--b/odd'), { REGION: 'a/b' });
  t.deepEqual(environmentOfPath(':ENV:cluster=c:ENV:=x:ENV:y'), { cluster: 'c' });
  t.deepEqual(environmentOfPath(''), {});
});

test('a pod tells which workload it is of', (t) => {
  const owned = (kind: string, name: string, labels: Record<string, string> = {}, apiVersion = 'apps/v1') =>
    workloadOf({
      generateName: 'x-',
      labels,
      ownerReferences: [{ apiVersion, kind, name, uid: '1', controller: true }],
    });
  t.deepEqual(owned('ReplicaSet', 'cart-5d9', { 'pod-template-hash': '5d9' }), {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    name: 'cart',
  });
  t.deepEqual(owned('Job', 'nightly-28123456', {}, 'batch/v1'), {
    apiVersion: 'batch/v1',
    kind: 'CronJob',
    name: 'nightly',
  });
  t.deepEqual(owned('StatefulSet', 'db'), { apiVersion: 'apps/v1', kind: 'StatefulSet', name: 'db' });
  t.deepEqual(owned('ReplicaSet', 'other', { 'pod-template-hash': '5d9' }), {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    name: 'other',
  });
  t.deepEqual(workloadOf({ name: 'alone' }), { apiVersion: 'v1', kind: 'Pod', name: 'alone' });
});
