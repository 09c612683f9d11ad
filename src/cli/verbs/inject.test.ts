import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { parseAllDocuments } from 'yaml';
import { configMaps } from '../../kube/object.ts';
import { ObjectServer } from '../../kube/testing/object-server.ts';
import { lateen } from '../testing/command.ts';

const folder = mkdtempSync(join(tmpdir(), 'lateen-inject-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

const manifest = `# The shop's cart
apiVersion: v1
kind: Service
metadata: {name: cart} # stays as it is
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  template:
    metadata: {labels: {app: cart}}
    spec:
      containers: [{name: cart, image: "example.com/cart:1"}]
---
apiVersion: v1
kind: Pod
metadata: {name: node, namespace: shop}
spec:
  hostNetwork: true
  containers: [{name: node, image: "example.com/node:1"}]
`;

function images(yaml: string): string[] {
  return Array.from(yaml.matchAll(/image: (\S*lateen\S*)/g), ([, image]) => image);
}

test('pods get a proxy, everything else passes through with its comments', async (t) => {
  const { code, stdout, stderr } = await lateen(['inject', '--offline', '-f', '-'], { stdin: manifest });
  t.is(code, 0, stderr);
  t.regex(stdout, /^# The shop's cart\napiVersion: v1\nkind: Service\n[^\n]*# stays as it is\n---\n/);
  t.deepEqual(images(stdout), ['docker.io/lateen/lateen:0.1.0']);
  t.is(parseAllDocuments(stdout).length, 3);
  t.regex(stderr, /skipped: Pod shop\/node: the pod uses the host network/);
  const again = await lateen(['kube-inject', '--offline', '-f', '-'], { stdin: stdout });
  t.is(again.stdout, stdout, 'injecting it again changes nothing');
});

test('files of configuration stand for the cluster, and the result goes into a file', async (t) => {
  const [input, values, output] = ['in.yaml', 'values.json', 'out.yaml'].map((name) => join(folder, name));
  writeFileSync(input, manifest);
  writeFileSync(values, '{"global":{"hub":"hub.example/lateen","tag":"9"}}');
  const { code, stdout } = await lateen(['inject', '-f', input, '--valuesFile', values, '-o', output, '-r', 'canary']);
  t.is(code, 0);
  t.is(stdout, '');
  t.deepEqual(images(readFileSync(output, 'utf8')), ['hub.example/lateen/lateen:9']);
  t.regex(readFileSync(output, 'utf8'), /value: istiod-canary\.istio-system\.svc:15012/);
});

test("the cluster's own configuration is asked for", async (t) => {
  const api = await ObjectServer.start();
  t.teardown(() => api.stop());
  const cluster = api.client();
  const keep = (name: string, data: Record<string, string>) =>
    cluster.create(configMaps, {
      ...{ apiVersion: 'v1', kind: 'ConfigMap' },
      metadata: { name, namespace: 'istio-system' },
      data,
    });
  await keep('istio', { mesh: 'trustDomain: example.org' });
  await keep('istio-sidecar-injector', { values: '{"global":{"tag":"7"}}' });
  const { code, stdout } = await lateen(['inject', '-f', '-'], { stdin: manifest, cluster });
  t.is(code, 0);
  t.deepEqual(images(stdout), ['docker.io/lateen/lateen:7']);
  t.regex(stdout, /name: TRUST_DOMAIN\n\s+value: example\.org/);
  const missing = await lateen(['inject', '-f', '-', '-r', 'canary'], { stdin: manifest, cluster });
  t.is(missing.code, 1);
  t.regex(missing.stderr, /ConfigMap istio-system\/istio-canary does not exist/);
  t.regex(missing.stderr, /--offline/);
});

test('what is wrong is told with the document', async (t) => {
  const fails = async (stdin: string, ...words: string[]) => {
    const { code, stderr } = await lateen(['inject', '--offline', '-f', '-', ...words], { stdin });
    return `${code} ${stderr}`;
  };
  t.regex(await fails('a: [\n'), /^65 .*-, document 1: /);
  t.regex(
    await fails('kind: Deployment\nmetadata: {name: x}\nspec: {template: {spec: {containers: [{image: i}]}}}'),
    /^65 [\s\S]*document 1: Deployment x\.spec\.containers\[0\]\.name: must be given/,
  );
  t.regex(await fails(manifest, '--valuesFile', join(folder, 'none')), /^65 [\s\S]*none cannot be read/);
  t.regex(await fails(manifest, '-o', join(folder, 'no/where')), /^1 [\s\S]*cannot be written/);
  const { code, stderr } = await lateen(['inject']);
  t.is(code, 64);
  t.regex(stderr, /flag -f is required/);
});
