import test from 'ava';
import { parseInjectionConfig } from './config.ts';
import { type DecisionFacts, decide } from './decide.ts';
import { selects } from './selector.ts';

const config = parseInjectionConfig({
  config: `
neverInjectSelector: [{matchExpressions: [{key: never, operator: Exists}]}, {}]
alwaysInjectSelector: [{matchLabels: {always: "yes"}}]
`,
});
const facts = (given: Partial<DecisionFacts>): DecisionFacts => ({
  metadata: {},
  hostNetwork: false,
  namespace: 'shop',
  namespaceLabels: null,
  ...given,
});
const reason = (given: Partial<DecisionFacts>, over: object = {}) => {
  const { inject, reason } = decide(facts(given), { ...config, ...over });
  return `${inject ? 'inject' : 'leave'}: ${reason}`;
};
const label = (value: string) => ({ labels: { 'sidecar.istio.io/inject': value } });
const annotation = (value: string) => ({ annotations: { 'sidecar.istio.io/inject': value } });

test('what can never be: the host network, the system namespaces', (t) => {
  t.is(reason({ hostNetwork: true, metadata: label('true') }), 'leave: hostNetwork');
  for (const namespace of ['kube-system', 'kube-public', 'kube-node-lease', 'local-path-storage'])
    t.is(reason({ namespace, metadata: label('true') }), 'leave: ignoredNamespace');
});

test('the pod decides: label over annotation over selectors over policy', (t) => {
  const disabled = { policy: 'disabled' } as const;
  t.is(reason({ metadata: label('false') }), 'leave: podLabel');
  t.is(reason({ metadata: { ...label('true'), ...annotation('false') } }), 'inject: podLabel');
  t.is(reason({ metadata: annotation('false') }), 'leave: podAnnotation');
  t.is(reason({ metadata: { labels: { never: '', always: 'yes' } } }), 'leave: neverInjectSelector');
  t.is(reason({ metadata: { labels: { never: '', 'sidecar.istio.io/inject': 'true' } } }), 'inject: podLabel');
  t.is(reason({ metadata: { labels: { always: 'yes' } } }, disabled), 'inject: alwaysInjectSelector');
  t.is(reason({}), 'inject: policy');
  t.is(reason({}, disabled), 'leave: policy');
  t.is(reason({ metadata: label('maybe') }), 'inject: policy');
});

test("the namespace decides where it is asked: istio-injection over its revision over the pod's", (t) => {
  const of = (labels: Record<string, string>, given: Partial<DecisionFacts> = {}, over: object = {}) =>
    reason({ namespaceLabels: labels, ...given }, over);
  const canary = { revision: 'canary' };
  t.is(of({ 'istio-injection': 'enabled' }), 'inject: namespaceLabel');
  t.is(of({ 'istio-injection': 'enabled' }, {}, canary), 'leave: otherRevision');
  t.is(of({ 'istio-injection': 'disabled' }, { metadata: label('true') }), 'leave: namespaceLabel');
  t.is(of({ 'istio-injection': 'enabled' }, { metadata: label('false') }), 'leave: podLabel');
  t.is(of({ 'istio.io/rev': 'canary' }), 'leave: otherRevision');
  t.is(of({ 'istio.io/rev': 'canary' }, {}, canary), 'inject: namespaceRevision');
  t.is(of({ 'istio.io/rev': 'default' }), 'inject: namespaceRevision');
  t.is(of({}), 'leave: namespaceNotLabelled');
  t.is(of({}, { metadata: label('true') }), 'inject: podLabel');
  t.is(
    of({}, { metadata: { labels: { 'istio.io/rev': 'canary', 'sidecar.istio.io/inject': 'true' } } }),
    'leave: otherRevision',
  );
});

test('every explanation is a sentence for people', (t) => {
  t.is(
    decide(facts({ metadata: label('false') }), config).explanation,
    `the pod's label sidecar.istio.io/inject is "false"`,
  );
});

test('a selector holds when every term does; an empty one selects nothing', (t) => {
  const labels = { app: 'x', tier: 'b' };
  t.false(selects({}, labels));
  t.true(selects({ matchLabels: { app: 'x' } }, labels));
  t.false(selects({ matchLabels: { app: 'x', tier: 'c' } }, labels));
  const one = (key: string, operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist', values?: string[]) =>
    selects({ matchExpressions: [{ key, operator, values }] }, labels);
  t.deepEqual(
    [one('app', 'In', ['x', 'y']), one('app', 'NotIn', ['x']), one('no', 'NotIn', ['x']), one('no', 'DoesNotExist')],
    [true, false, true, true],
  );
  t.deepEqual([one('app', 'Exists'), one('no', 'Exists'), one('app', 'DoesNotExist')], [true, false, false]);
});
