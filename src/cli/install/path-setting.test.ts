import test from 'ava';
import fc from 'fast-check';
import { CliError } from '../exit.ts';
import { applySetting, overlay, type Tree } from './path-setting.ts';

function tree(...settings: string[]): Tree {
  const result: Tree = {};
  for (const setting of settings) applySetting(result, setting);
  return result;
}

test('paths as istioctl has them', (t) => {
  t.deepEqual(tree('profile=demo', 'meshConfig.accessLogFile=/dev/stdout'), {
    profile: 'demo',
    meshConfig: { accessLogFile: '/dev/stdout' },
  });
  t.deepEqual(
    tree('components.egressGateways[0].name=istio-egressgateway', 'components.egressGateways[0].enabled=true'),
    {
      components: { egressGateways: [{ name: 'istio-egressgateway', enabled: true }] },
    },
  );
  t.deepEqual(tree('gateways.[name:a].x=1', 'gateways[name:b].x=2', 'gateways.[name:a].y=3'), {
    gateways: [
      { name: 'a', x: 1, y: 3 },
      { name: 'b', x: 2 },
    ],
  });
  t.deepEqual(tree('annotations.example\\.com/a=b'), { annotations: { 'example.com/a': 'b' } });
});

test('values are typed', (t) => {
  t.deepEqual(tree('a=true', 'b=3', 'c=1.32', 'd="true"', 'e=', 'f=x=y', 'g=0123'), {
    a: true,
    b: 3,
    c: '1.32',
    d: 'true',
    e: '',
    f: 'x=y',
    g: '0123',
  });
});

test('what makes no sense is told with the setting', (t) => {
  for (const setting of [
    'profile',
    '=x',
    '[0]=x',
    'a[1000000]=x',
    'a[-1]=x',
    'a[b]=x',
    '__proto__.x=1',
    'a.constructor.prototype.x=1',
  ])
    t.throws(
      () => tree(setting),
      { instanceOf: CliError, message: new RegExp(setting.replace(/[^\w]/g, '.')) },
      setting,
    );
  t.throws(() => tree('a=1', 'a.b=2'), { message: /a\.b=2/ });
});

test('property: no setting throws anything but a usage error or touches what all objects share', (t) => {
  fc.assert(
    fc.property(fc.array(fc.stringMatching(/^[a-c.[\]:=\\0-2_]{0,12}$/), { maxLength: 4 }), (settings) => {
      try {
        tree(...settings);
      } catch (error) {
        if (!(error instanceof CliError)) throw error;
      }
      return Object.keys(Object.prototype).length === 0;
    }),
  );
  t.pass();
});

test('later files win field by field', (t) => {
  t.deepEqual(overlay({ a: { b: 1, c: 2 }, d: [{ x: 1 }] }, { a: { c: 3 }, d: [{ y: 2 }, { z: 3 }] }), {
    a: { b: 1, c: 3 },
    d: [{ x: 1, y: 2 }, { z: 3 }],
  });
});
