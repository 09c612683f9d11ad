import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { MutatingWebhookConfiguration } from 'kubernetes-models/admissionregistration.k8s.io/v1/MutatingWebhookConfiguration';
import { ValidatingWebhookConfiguration } from 'kubernetes-models/admissionregistration.k8s.io/v1/ValidatingWebhookConfiguration';
import { CustomResourceDefinition } from 'kubernetes-models/apiextensions.k8s.io/v1/CustomResourceDefinition';
import { Deployment } from 'kubernetes-models/apps/v1/Deployment';
import { HorizontalPodAutoscaler } from 'kubernetes-models/autoscaling/v2/HorizontalPodAutoscaler';
import { PodDisruptionBudget } from 'kubernetes-models/policy/v1/PodDisruptionBudget';
import { ClusterRole } from 'kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRole';
import { ClusterRoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/ClusterRoleBinding';
import { Role } from 'kubernetes-models/rbac.authorization.k8s.io/v1/Role';
import { RoleBinding } from 'kubernetes-models/rbac.authorization.k8s.io/v1/RoleBinding';
import { ConfigMap } from 'kubernetes-models/v1/ConfigMap';
import { Namespace } from 'kubernetes-models/v1/Namespace';
import { Service } from 'kubernetes-models/v1/Service';
import { ServiceAccount } from 'kubernetes-models/v1/ServiceAccount';
import { stringify } from 'yaml';
import type { IstioInstallationSpec } from '../api/installation/istio-installation.ts';
import { resolve } from '../api/installation/profiles.ts';
import { type ApiObject, keyOf } from '../kube/object.ts';
import { parseInjectionConfig } from '../webhook/config.ts';
import { operatorObjects } from './deployment.ts';
import { resourceOf, sharedKinds } from './kinds.ts';
import { ownerLabel } from './labels.ts';
import { render } from './render.ts';

const models: { [kind: string]: new (data: never) => { validate(): void } } = {
  ClusterRole,
  ClusterRoleBinding,
  ConfigMap,
  CustomResourceDefinition,
  Deployment,
  HorizontalPodAutoscaler,
  MutatingWebhookConfiguration,
  Namespace,
  PodDisruptionBudget,
  Role,
  RoleBinding,
  Service,
  ServiceAccount,
  ValidatingWebhookConfiguration,
};

const specs: { [name: string]: IstioInstallationSpec } = {
  default: {},
  demo: { profile: 'demo' },
  minimal: { profile: 'minimal', revision: 'canary', namespace: 'mesh' },
  everything: {
    profile: 'demo',
    hub: 'registry.example.com:5000/mesh',
    tag: 'v9',
    imagePullSecrets: ['pull'],
    meshConfig: { trustDomain: 'td.example', defaultConfig: { proxyMetadata: { A: 'b' } } },
    components: {
      control: {
        k8s: {
          replicas: 2,
          env: [{ name: 'LOG_LEVEL', value: 'debug' }],
          nodeSelector: { disk: 'ssd' },
          tolerations: [{ key: 'a', operator: 'Exists' }],
          podDisruptionBudget: { minAvailable: 1 },
          resources: { limits: { cpu: '1', memory: '1Gi' } },
        },
      },
      ingressGateways: [
        {
          name: 'istio-ingressgateway',
          k8s: { hpa: { minReplicas: 2, maxReplicas: 4 }, service: { type: 'NodePort' } },
        },
        { name: 'inner', namespace: 'edge', labels: { istio: 'inner' } },
      ],
    },
  },
};

const objectsOf = (name: string, spec: IstioInstallationSpec) =>
  render(name, resolve(spec)).flatMap(({ objects }) => objects);
const identityOf = (object: ApiObject) => `${object.kind} ${keyOf(object)}`;
const isShared = ({ kind }: ApiObject) => sharedKinds.some((each) => each.kind === kind);

for (const [name, spec] of Object.entries(specs)) {
  test(`${name}: every object is valid, addressed once, owned, and the same each time`, (t) => {
    const objects = objectsOf('mesh', spec);
    for (const object of objects) {
      t.notThrows(() => new models[object.kind](object as never).validate(), identityOf(object));
      t.is(resourceOf(object).namespaced, object.metadata?.namespace !== undefined, identityOf(object));
      t.is(object.metadata?.labels?.[ownerLabel], isShared(object) ? undefined : 'mesh', identityOf(object));
    }
    t.is(new Set(objects.map(identityOf)).size, objects.length);
    t.is(JSON.stringify(objectsOf('mesh', structuredClone(spec))), JSON.stringify(objects));
  });
}

test('the operator’s own objects are valid', (t) => {
  for (const object of operatorObjects({ image: 'docker.io/lateen/lateen:1' }))
    t.notThrows(() => new models[object.kind](object as never).validate(), identityOf(object));
});

test('the operator holds every right that it grants', (t) => {
  const own = operatorObjects({ image: 'any' }).find(({ kind }) => kind === 'ClusterRole') as ClusterRole;
  const holds = (group: string, resource: string, verb: string) =>
    (own.rules ?? []).some(
      ({ apiGroups = [], resources = [], verbs }) =>
        (apiGroups.includes(group) || apiGroups.includes('*')) &&
        (resources.includes(resource) || resources.includes('*')) &&
        verbs.includes(verb),
    );
  const granting = objectsOf('mesh', specs.everything).filter(
    ({ kind }) => kind === 'Role' || kind === 'ClusterRole',
  ) as ClusterRole[];
  t.true(granting.length > 2);
  for (const { metadata, rules = [] } of granting)
    for (const { apiGroups = [], resources = [], verbs } of rules)
      for (const group of apiGroups)
        for (const resource of resources)
          for (const verb of verbs)
            t.true(holds(group, resource, verb), `${metadata?.name}: ${verb} ${resource}.${group}`);
});

test('two revisions share nothing but the core, gateways aside', (t) => {
  const own = (revision: string | undefined) =>
    new Set(
      objectsOf(revision ?? 'default', { profile: 'minimal', revision })
        .filter((object) => !isShared(object))
        .map(identityOf),
    );
  t.true(own(undefined).isDisjointFrom(own('canary')));
});

test('webhooks: a named revision leaves namespaces labelled istio-injection=enabled to the default one', (t) => {
  const names = (spec: IstioInstallationSpec) => {
    const found = objectsOf('mesh', spec).find(
      ({ kind }) => kind === 'MutatingWebhookConfiguration',
    ) as MutatingWebhookConfiguration;
    for (const { clientConfig } of found.webhooks ?? []) t.false('caBundle' in clientConfig);
    return found.webhooks?.map(({ name }) => name.replace('.sidecar-injector.istio.io', ''));
  };
  t.deepEqual(names({}), ['rev.namespace', 'rev.object', 'namespace', 'object']);
  t.deepEqual(names({ revision: 'canary' }), ['rev.namespace', 'rev.object']);
});

test('the injector reads what is rendered for it', (t) => {
  for (const [name, spec] of Object.entries(specs)) {
    const resolved = resolve(spec);
    const maps = objectsOf('mesh', spec).filter(({ kind }) => kind === 'ConfigMap') as ConfigMap[];
    const data = Object.assign({}, ...maps.map((map) => map.data)) as { mesh: string; values: string; config: string };
    const config = parseInjectionConfig({ ...data, namespace: resolved.namespace, revision: resolved.revision });
    t.is(`${config.hub}/${config.proxy.image}:${config.tag}`, `${resolved.hub}/lateen:${resolved.tag}`, name);
    t.is(config.revision, resolved.revision);
    t.is(config.trustDomain, resolved.meshConfig.trustDomain ?? '');
    t.is(config.mesh.defaultConfig.discoveryAddress, resolved.meshConfig.defaultConfig?.discoveryAddress);
    t.deepEqual(config.imagePullSecrets, resolved.imagePullSecrets ?? []);
  }
});

test('an autoscaled Deployment says nothing of its replicas', (t) => {
  const gateway = objectsOf('mesh', specs.everything).find(
    (object) => identityOf(object) === 'Deployment istio-system/istio-ingressgateway',
  ) as Deployment;
  t.is(gateway.spec?.replicas, undefined);
});

/** After an intended change: `UPDATE_GOLDENS=1 ava src/operator/render.test.ts`. */
test('golden: the profile demo', (t) => {
  const path = join(import.meta.dirname, 'testdata/demo.out.yaml');
  const objects = objectsOf('demo', { profile: 'demo', tag: 'TAG' }).filter(
    ({ kind }) => kind !== 'CustomResourceDefinition',
  );
  const text = objects.map((object) => stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n');
  if (process.env.UPDATE_GOLDENS) writeFileSync(path, text);
  t.is(text, readFileSync(path, 'utf8'));
});
