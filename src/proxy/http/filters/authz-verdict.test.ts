import test from 'ava';
import fc from 'fast-check';
import { sound } from './authz-verdict.ts';

const change = (name: string, value: string) => ({ name, value, action: 'overwrite' as const });

test('what a service gives for a header is sound only when it cannot end the line or the head', (t) => {
  t.true(sound([change('x-user', 'ann'), change(':path', '/x'), change('x-empty', '')]));
  for (const name of ['x user', 'x:y', '', 'x\r\ny', 'X-Upper']) t.false(sound([change(name, 'a')]), name);
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (value) => {
      return sound([change('x-user', value)]) === !['\r', '\n', '\0'].some((bad) => value.includes(bad));
    }),
  );
});
