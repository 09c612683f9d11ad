import test from 'ava';
import { parseBootstrap } from './bootstrap.ts';
import { RuntimeValues, runtimeValues } from './runtime-values.ts';

test('layers override one another, the last one by hand', (t) => {
  parseBootstrap(`
layered_runtime:
  layers:
  - {name: base, static_layer: {a: {b: 5, share: {numerator: 25, denominator: TEN_THOUSAND}}, c: text}}
  - {name: more, static_layer: {a: {b: 6}}}
  - {name: admin, admin_layer: {}}`);
  t.is(runtimeValues.number('a.b', 1), 6);
  t.is(runtimeValues.number('c', 1), 1);
  t.is(runtimeValues.number('', 1), 1);
  t.is(runtimeValues.millionths('a.share', 0), 2500);
  t.is(runtimeValues.millionths('a.b', 0), 60_000);
  t.is(runtimeValues.override([['a.b', '7']]), null);
  t.is(runtimeValues.number('a.b', 1), 7);
  t.deepEqual((runtimeValues.shown as { entries: Record<string, object> }).entries['a.b'], {
    layer_values: ['5', '6', '7'],
    final_value: '7',
  });
  runtimeValues.override([['a.b', '']]);
  t.is(runtimeValues.number('a.b', 1), 6);
});

test('without a layer for it nothing is overridden, and foreign layers are refused', (t) => {
  t.is(new RuntimeValues().override([['a', '1']]), 'No admin layer specified');
  const refused = t.throws(() =>
    parseBootstrap('layered_runtime: {layers: [{name: d, disk_layer: {symlink_root: /x}}]}'),
  );
  t.regex(refused.message, /layered_runtime\.layers\[0\]: diskLayer is not supported/);
});
