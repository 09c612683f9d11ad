import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parseManifests } from '../manifests.ts';
import { lateen } from '../testing/command.ts';

const good = `apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata:
  name: default
spec:
  mtls:
    mode: STRICT
`;
const bad = `${good}---
# a comment
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart]
  http:
    - route:
        - destination:
            hots: cart
      timeout: 5
`;
const badLines = [
  '18: error: VirtualService shop/cart: spec.http[0].route[0].destination.hots: is not a known field; did you mean "host"?',
  '17: error: VirtualService shop/cart: spec.http[0].route[0].destination.host: is required',
  '19: error: VirtualService shop/cart: spec.http[0].timeout: must be a string, is the number 5',
];

test('a sound file', async (t) => {
  t.deepEqual(await lateen(['validate', '-f', '-'], { stdin: good }), {
    code: 0,
    stdout: '',
    stderr: '✔ 1 resource checked: valid\n',
  });
});

test('errors name file, line, object and field', async (t) => {
  const { code, stdout, stderr } = await lateen(['validate', '-f', '-'], { stdin: bad });
  t.is(code, 1);
  t.deepEqual(
    stdout.trim().split('\n'),
    badLines.map((line) => `<stdin>:${line}`),
  );
  t.is(stderr, '✘ 2 resources checked: 3 errors\n');
});

test('folders, several files, arguments without -f', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'lateen-'));
  t.teardown(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, 'b.yaml'), bad);
  await writeFile(join(folder, 'a.json'), JSON.stringify({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'x' } }));
  await writeFile(join(folder, 'notes.txt'), 'none of our business: [');
  const { code, stdout, stderr } = await lateen(['validate', '-f', folder]);
  t.is(code, 1);
  t.deepEqual(
    stdout.trim().split('\n'),
    badLines.map((line) => `${join(folder, 'b.yaml')}:${line}`),
  );
  t.is(stderr, '✘ 2 resources checked, 1 of other kinds let through: 3 errors\n');
  t.is((await lateen(['validate', join(folder, 'a.json'), join(folder, 'b.yaml')])).code, 1);
  t.is((await lateen(['validate', '-f', join(folder, 'a.json')])).code, 0);
});

test('what cannot be read', async (t) => {
  t.deepEqual(await lateen(['validate', '-f', '/no/such/file.yaml']), {
    code: 65,
    stdout: '',
    stderr: 'Error: /no/such/file.yaml cannot be read: there is no such file or folder\n',
  });
});

test('for programs', async (t) => {
  const { stdout } = await lateen(['validate', '-f', '-', '-o', 'json'], { stdin: bad });
  const { valid, findings } = JSON.parse(stdout);
  t.false(valid);
  t.deepEqual(findings[0], {
    severity: 'error',
    where: '<stdin>:18',
    object: 'VirtualService shop/cart',
    path: 'spec.http[0].route[0].destination.hots',
    message: 'is not a known field; did you mean "host"?',
    code: 'unknownField',
  });
});

test('warnings fail when asked to', async (t) => {
  const stdin = good.replace('  mtls', '  selector: {}\n  mtls');
  const { code, stdout, stderr } = await lateen(['validate', '-f', '-'], { stdin });
  t.is(code, 0);
  t.regex(stdout, /^<stdin>:6: warning: PeerAuthentication default: spec\.selector: /);
  t.is(stderr, '✔ 1 resource checked: valid with 1 warning\n');
  t.is((await lateen(['validate', '--strict', '-f', '-'], { stdin })).code, 1);
});

test('documents that are no YAML, or nothing', async (t) => {
  const { code, stdout } = await lateen(['validate', '-f', '-'], {
    stdin: `---\n---\n# nothing\n---\na: [\n---\n${good}---\n"text"\n`,
  });
  t.is(code, 1);
  t.deepEqual(
    stdout
      .trim()
      .split('\n')
      .map((line) => line.split(':').slice(0, 3).join(':')),
    ['<stdin>:6: error', '<stdin>:15: error'],
  );
});

test('a bomb of aliases is refused, not laid', (t) => {
  const levels = Array.from(
    { length: 30 },
    (_, i) => `l${i}: &l${i} [${i === 0 ? 'x' : `*l${i - 1}, *l${i - 1}`}]`,
  ).join('\n');
  const [{ problem }] = parseManifests('bomb.yaml', levels);
  t.regex(problem ?? '', /alias/i);
});

test('items of a List have lines of their own', (t) => {
  const list = `apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n- apiVersion: v1\n  kind: Service\n  metadata:\n    name: x\n`;
  const manifests = parseManifests('list.yaml', list);
  t.deepEqual(
    manifests.map(({ lineOf }) => lineOf('kind')),
    [5, 7],
  );
  t.is(manifests[1].lineOf('metadata.name'), 9);
  t.is(manifests[1].lineOf('metadata.labels.a'), 8);
  t.is(manifests[1].lineOf(''), 6);
});

test('what the analyzers say of the files together is a warning', async (t) => {
  const stdin = `apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: reviews, namespace: shop}
spec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
  - route:
    - destination:
        host: reviews
        subset: v2
`;
  const { code, stdout } = await lateen(['validate', '-f', '-'], { stdin });
  t.is(code, 0);
  t.regex(
    stdout,
    /^<stdin>:15: warning: VirtualService shop\/reviews: spec\.http\[0\]\.route\[0\]\.destination\.subset: \[IST0101\] .*v2/,
  );
  t.is((await lateen(['validate', '--strict', '-f', '-'], { stdin })).code, 1);
});
