/**
 * Which API requests reach the control plane. Selectors are Istio's (istio-discovery chart, mutatingwebhook.yaml and
 * validatingwebhookconfiguration.yaml). `caBundle` is left out: the control plane, which has the key, owns that field.
 */
import type { ApiObject, MutatingWebhookConfiguration, ValidatingWebhookConfiguration } from '../../kube/object.ts';
import { type Scope, withRevision } from './scope.ts';

interface Selector {
  matchExpressions: Array<{ key: string; operator: string; values?: string[] }>;
}

const injection = 'istio-injection';
const revisionLabel = 'istio.io/rev';
const podLabel = 'sidecar.istio.io/inject';

export function webhooks(scope: Scope, labels: { [key: string]: string }): ApiObject[] {
  return [mutating(scope, labels), validating(scope, labels)];
}

function mutating(scope: Scope, labels: { [key: string]: string }): MutatingWebhookConfiguration {
  const base = withRevision(scope, 'istio-sidecar-injector');
  const revision = [scope.revision];
  const absent = (key: string) => ({ key, operator: 'DoesNotExist' });
  const notRefused = { key: podLabel, operator: 'NotIn', values: ['false'] };
  const cases: Array<[prefix: string, namespaces: Selector, pods: Selector]> = [
    [
      'rev.namespace.',
      { matchExpressions: [{ key: revisionLabel, operator: 'In', values: revision }, absent(injection)] },
      { matchExpressions: [notRefused] },
    ],
    [
      'rev.object.',
      { matchExpressions: [absent(revisionLabel), absent(injection)] },
      { matchExpressions: [notRefused, { key: revisionLabel, operator: 'In', values: revision }] },
    ],
  ];
  if (scope.revision === 'default')
    cases.push(
      [
        'namespace.',
        { matchExpressions: [{ key: injection, operator: 'In', values: ['enabled'] }] },
        { matchExpressions: [notRefused] },
      ],
      [
        'object.',
        { matchExpressions: [absent(injection), absent(revisionLabel)] },
        { matchExpressions: [{ key: podLabel, operator: 'In', values: ['true'] }, absent(revisionLabel)] },
      ],
    );
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'MutatingWebhookConfiguration',
    metadata: {
      name: scope.namespace === 'istio-system' ? base : `${base}-${scope.namespace}`,
      labels: { ...labels, app: 'sidecar-injector' },
    },
    webhooks: cases.map(([prefix, namespaceSelector, objectSelector]) => ({
      name: `${prefix}sidecar-injector.istio.io`,
      clientConfig: { service: service(scope, '/inject') },
      rules: [{ operations: ['CREATE'], apiGroups: [''], apiVersions: ['v1'], resources: ['pods'], scope: '*' }],
      // A pod that should have a sidecar and gets none would talk past every policy.
      failurePolicy: 'Fail',
      matchPolicy: 'Equivalent',
      reinvocationPolicy: 'Never',
      sideEffects: 'None',
      timeoutSeconds: 10,
      admissionReviewVersions: ['v1'],
      namespaceSelector,
      objectSelector,
    })),
  };
}

function validating(scope: Scope, labels: { [key: string]: string }): ValidatingWebhookConfiguration {
  const cases: Array<[name: string, objects: Selector]> = [
    [
      'rev.validation.istio.io',
      { matchExpressions: [{ key: revisionLabel, operator: 'In', values: [scope.revision] }] },
    ],
  ];
  // Istio keeps this one in a configuration of its own (istiod-default-validator).
  if (scope.revision === 'default')
    cases.push(['validation.istio.io', { matchExpressions: [{ key: revisionLabel, operator: 'DoesNotExist' }] }]);
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: { name: `${withRevision(scope, 'istio-validator')}-${scope.namespace}`, labels },
    webhooks: cases.map(([name, objectSelector]) => ({
      name,
      clientConfig: { service: service(scope, '/validate') },
      rules: [
        {
          operations: ['CREATE', 'UPDATE'],
          apiGroups: ['security.istio.io', 'networking.istio.io', 'telemetry.istio.io', 'extensions.istio.io'],
          apiVersions: ['*'],
          resources: ['*'],
          scope: '*',
        },
      ],
      // Configuration may be changed while no control plane runs; it validates again whatever it reads.
      failurePolicy: 'Ignore',
      matchPolicy: 'Equivalent',
      sideEffects: 'None',
      timeoutSeconds: 5,
      admissionReviewVersions: ['v1'],
      namespaceSelector: {},
      objectSelector,
    })),
  };
}

function service(scope: Scope, path: string) {
  return { name: withRevision(scope, 'istiod'), namespace: scope.namespace, path, port: 443 };
}
