import test from 'ava';
import { apply, get } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';

evidenceOnFailure(test);

const manifest = (line: string) => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: refused, namespace: default}
spec:
  hosts: [reviews]
  http:
    - route:
        - destination: {host: reviews, subset: v1}
          weight: 50
        - destination: {host: reviews, subset: v2}
          weight: 50
      ${line}
`;

const cases: ReadonlyArray<[does: string, line: string, names: RegExp]> = [
  ['a duration that is none', 'timeout: soon', /spec\.http\[0\]\.timeout/],
  ['a field that does not exist', 'timeuot: 3s', /timeuot/],
  ['two actions at once', 'redirect: {uri: /elsewhere}', /spec\.http\[0\]/],
  [
    'a status out of range',
    'fault: {abort: {httpStatus: 99, percentage: {value: 100}}}',
    /spec\.http\[0\]\.fault\.abort\.httpStatus/,
  ],
];

for (const [does, line, names] of cases)
  test.serial(`refused by the field's name: ${does}`, async (t) => {
    const error = await t.throwsAsync(() => apply(manifest(line)));
    t.regex(error?.message ?? '', names);
    t.is(await get('virtualservice', 'refused', 'default'), null);
  });
