import test from 'ava';
import { describeObject, describeProblem, isChecked, validate } from './validate.ts';

const sound = {
  apiVersion: 'networking.istio.io/v1',
  kind: 'VirtualService',
  metadata: { name: 'cart', namespace: 'shop' },
  spec: { hosts: ['cart'], http: [{ route: [{ destination: { host: 'cart' } }] }] },
};

function told(object: unknown): string[] {
  const { errors, warnings } = validate(object);
  return [...errors, ...warnings].map((problem) => describeProblem(object, problem));
}

test('says whose problem it is, where and what', (t) => {
  const object = { ...sound, spec: { hosts: ['cart'], http: [{ route: [{ destination: {} }] }] } };
  t.deepEqual(told(object), ['VirtualService shop/cart: spec.http[0].route[0].destination.host: is required']);
});

const cases: Array<[string, unknown, string[]]> = [
  ['sound', sound, []],
  ['with a status', { ...sound, status: { observedGeneration: '1', other: [] } }, []],
  [
    'with a bad status',
    { ...sound, status: { conditions: 1 } },
    ['VirtualService shop/cart: status.conditions: must be a list, is the number 1'],
  ],
  ['text', 'hello', ['object: must be an object with apiVersion, kind, metadata and spec']],
  ['nothing in it', {}, ['object: apiVersion: is required', 'object: kind: is required']],
  [
    'numbers for names',
    { apiVersion: 1, kind: 2 },
    ['object: apiVersion: must be a string, is 1', 'object: kind: must be a string, is 2'],
  ],
  ['another group', { apiVersion: 'apps/v1', kind: 'Deployment', spec: 5 }, []],
  [
    "another group's kind of the same name",
    { apiVersion: 'gateway.networking.k8s.io/v1', kind: 'Gateway', spec: {} },
    [],
  ],
  [
    'a kind that is let through',
    { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'x' }, spec: { replicas: 'many' } },
    [],
  ],
  [
    'a misspelt kind',
    { ...sound, kind: 'VirtualServise' },
    [
      'VirtualServise shop/cart: kind: "VirtualServise" is not a kind of networking.istio.io; did you mean "VirtualService"?',
    ],
  ],
  [
    'a wrong group',
    { ...sound, apiVersion: 'security.istio.io/v1' },
    [
      'VirtualService shop/cart: apiVersion: must be networking.istio.io/v1 for a VirtualService, is "security.istio.io/v1"',
    ],
  ],
  [
    'a wrong version',
    { ...sound, apiVersion: 'networking.istio.io/v2' },
    [
      'VirtualService shop/cart: apiVersion: must be one of networking.istio.io/v1, networking.istio.io/v1alpha3, networking.istio.io/v1beta1 for a VirtualService, is "networking.istio.io/v2"',
    ],
  ],
  [
    'a misspelt root',
    { ...sound, sepc: {} },
    ['VirtualService shop/cart: sepc: is not a known field; did you mean "spec"?'],
  ],
  ['no metadata', { ...sound, metadata: undefined }, ['VirtualService: metadata.name: is required']],
  ['a list for metadata', { ...sound, metadata: [] }, ['VirtualService: metadata: must be an object, is []']],
  [
    'a name that is none',
    { ...sound, metadata: { name: 'A b' } },
    ['VirtualService A b: metadata.name: must be a DNS name in lower case, is "A b"'],
  ],
  ['a name to be made', { ...sound, metadata: { generateName: 'cart-' } }, []],
  [
    'labels that are none',
    { ...sound, metadata: { name: 'x', labels: { a: 1 }, annotations: 'b' } },
    [
      'VirtualService x: metadata.labels.a: must be a string, is 1',
      'VirtualService x: metadata.annotations: must be an object, is "b"',
    ],
  ],
  [
    'annotations of the control plane',
    {
      ...sound,
      metadata: { name: 'x', annotations: { 'internal.istio.io/parents': 'a', 'istio.io/dry-run': 'true' } },
    },
    [
      'VirtualService x: metadata.annotations["internal.istio.io/parents"]: must not be set by users',
      'VirtualService x: metadata.annotations["istio.io/dry-run"]: has no meaning on a VirtualService; remove it',
    ],
  ],
  [
    'a namespace where none is',
    { apiVersion: 'lateen.dev/v1alpha1', kind: 'IstioInstallation', metadata: { name: 'x', namespace: 'y' }, spec: {} },
    ['IstioInstallation y/x: metadata.namespace: must not be set: an object of this kind has no namespace'],
  ],
  ['no spec', { ...sound, spec: undefined }, ['VirtualService shop/cart: spec: needs one of http, tls and tcp']],
  [
    'no spec where one must be',
    { apiVersion: 'networking.istio.io/v1', kind: 'ServiceEntry', metadata: { name: 'x' } },
    ['ServiceEntry x: spec: is required'],
  ],
  ['names from Object.prototype', { apiVersion: 'constructor/v1', kind: 'toString' }, []],
];

for (const [title, object, problems] of cases) test(title, (t) => t.deepEqual(told(object), problems));

test('a spec that is not there lacks what it must have', (t) => {
  const object = { apiVersion: 'networking.istio.io/v1', kind: 'DestinationRule', metadata: { name: 'x' }, spec: null };
  t.deepEqual(told(object), ['DestinationRule x: spec.host: is required']);
});

test('knows what it checks', (t) => {
  t.true(isChecked(sound));
  for (const other of [null, 'x', {}, { ...sound, apiVersion: 'v1' }, { apiVersion: 'v1', kind: 'Pod' }])
    t.false(isChecked(other));
});

test('names any object', (t) => {
  t.is(describeObject(null), 'object');
  t.is(describeObject({ kind: 'Pod', metadata: { name: 'x' } }), 'Pod x');
});

test('two thousand objects take less than a second', (t) => {
  const started = performance.now();
  for (let i = 0; i < 2000; i++) validate(sound);
  t.true(performance.now() - started < 1000);
});

test('fields that are null are as if they were not there', (t) => {
  t.deepEqual(
    told({
      ...sound,
      spec: { ...sound.spec, tls: null, http: [{ ...sound.spec.http[0], redirect: null, timeout: null }] },
    }),
    [],
  );
  t.deepEqual(told({ ...sound, spec: { ...sound.spec, http: [{ route: null }] } }), [
    'VirtualService shop/cart: spec.http[0]: needs one of route, redirect, directResponse and delegate',
  ]);
  t.deepEqual(told({ ...sound, spec: { ...sound.spec, hosts: [null] } }), [
    'VirtualService shop/cart: spec.hosts[0]: must be a string, is null',
  ]);
});
