import test from 'ava';
import fc from 'fast-check';
import { firstDifference } from './difference.ts';

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

test('the same, and more than what is wanted, is no difference', (t) => {
  const wanted = { spec: { replicas: 2, template: { containers: [{ name: 'a', image: 'x', args: ['b', 'c'] }] } } };
  t.is(firstDifference(wanted, wanted), null);
  const defaulted = structuredClone(wanted) as { spec: { [key: string]: unknown } };
  defaulted.spec.revisionHistoryLimit = 10;
  t.is(firstDifference(defaulted, wanted), null);
});

test('names the field that differs', (t) => {
  t.is(
    firstDifference(
      { spec: { ports: [{ name: 'http', port: 81 }] } },
      { spec: { ports: [{ name: 'http', port: 80 }] } },
    ),
    'spec.ports[0].port',
  );
  t.is(firstDifference({ spec: {} }, { spec: { type: 'ClusterIP' } }), 'spec.type');
  t.is(firstDifference({ args: ['a', 'b', 'c'] }, { args: ['a', 'b'] }), 'args');
});

test('lists with keys may hold others’ elements, in any order', (t) => {
  const live = {
    env: [
      { name: 'OTHER', value: '1' },
      { name: 'B', value: '2' },
      { name: 'A', value: '1' },
    ],
  };
  t.is(
    firstDifference(live, {
      env: [
        { name: 'A', value: '1' },
        { name: 'B', value: '2' },
      ],
    }),
    null,
  );
  t.is(
    firstDifference(live, {
      env: [
        { name: 'A', value: '1' },
        { name: 'B', value: '3' },
      ],
    }),
    'env[1].value',
  );
  t.is(
    firstDifference(live, {
      env: [
        { name: 'A', value: '1' },
        { name: 'C', value: '3' },
      ],
    }),
    'env[1]',
  );
});

test('empty values are dropped by the API server', (t) => {
  t.is(firstDifference({}, { nodeSelector: {}, env: [], value: '', flag: false, count: 0 }), null);
  t.is(firstDifference({ value: 'set' }, { value: '' }), 'value');
});

test('quantities compare by amount, and only where quantities are', (t) => {
  const live = { resources: { requests: { cpu: '1', memory: '1Gi' } } };
  t.is(firstDifference(live, { resources: { requests: { cpu: '1000m', memory: '1024Mi' } } }), null);
  t.is(firstDifference(live, { resources: { requests: { cpu: '1001m' } } }), 'resources.requests.cpu');
  t.is(firstDifference({ tag: '1' }, { tag: '1000m' }), 'tag');
});

const json = fc.letrec<{ value: Json }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.string({ minLength: 1 }),
    fc.integer({ min: 1 }),
    fc.constant(true),
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.string({ minLength: 1, maxLength: 4 }), tie('value'), { maxKeys: 4 }),
  ),
})).value;

test('property: whatever is wanted is satisfied by itself and by itself with more fields', (t) => {
  t.notThrows(() =>
    fc.assert(
      fc.property(json, fc.dictionary(fc.constantFrom('zz1', 'zz2'), json), (wanted, more) => {
        const live =
          typeof wanted === 'object' && wanted !== null && !Array.isArray(wanted) ? { ...more, ...wanted } : wanted;
        return firstDifference(structuredClone(live), wanted) === null;
      }),
    ),
  );
});
