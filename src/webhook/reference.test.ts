/** Holds injection against Istio's own examples, where they are at hand beside the repository; every difference has its reason. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'ava';
import { parse } from 'yaml';
import { parseInjectionConfig } from './config.ts';
import type { Pod } from './pod.ts';
import { injectResource } from './resource.ts';
import { type Difference, differences } from './testing/structure.ts';

const folder = join(import.meta.dirname, '../../../shared/reference/istio/inject');
const names = existsSync(folder)
  ? readdirSync(folder)
      .filter((name) => name.endsWith('.yaml'))
      .map((name) => name.replace('.yaml', ''))
  : [];

/** As Istio's own test is set up: its registry, its kind of init container. */
const values = {
  global: {
    hub: 'registry.istio.io/testing',
    tag: 'latest',
    imagePullPolicy: '',
    proxy: { image: 'proxyv2' },
  },
  sidecarInjectorWebhook: { initContainer: true },
};
/** Istio made this example under such values. */
const statusValues = {
  statusPort: 123,
  readinessInitialDelaySeconds: 100,
  readinessPeriodSeconds: 200,
  readinessFailureThreshold: 300,
};

function configFor(name: string) {
  const proxy = { ...values.global.proxy, ...(name === 'kubevirtInterfaces' ? statusValues : {}) };
  return parseInjectionConfig({ values: JSON.stringify({ ...values, global: { ...values.global, proxy } }) });
}

interface Reason {
  path: RegExp;
  /** Only for these examples. */
  only?: RegExp;
  when?: (difference: Difference) => boolean;
  why: string;
}

const reasons: readonly Reason[] = [
  {
    path: /^spec\.initContainers\.istio-init\.args$/,
    when: ({ ours, theirs }) =>
      JSON.stringify(ours).replace('"iptables"', '"istio-iptables"') === JSON.stringify(theirs),
    why: 'the entrypoint of our image is lateen',
  },
  { path: /\.env\.GOMEMLIMIT$/, why: 'nothing of ours is written in Go' },
  {
    path: /istio-ca-crl|\/var\/run\/secrets\/istio\/crl/,
    why: 'our authority publishes no revocation list',
  },
  {
    path: /^metadata\.annotations\.sidecar\.istio\.io\/status\.volumes$/,
    when: ({ ours, theirs }) => JSON.stringify(ours) === JSON.stringify(theirs).replace(',"istio-ca-crl"', ''),
    why: 'our authority publishes no revocation list',
  },
  { path: /^spec\.volumes\.[\w-]+\.emptyDir$/, when: ({ theirs }) => theirs === undefined, why: 'written out' },
  {
    path: /\.istio-proxy\.lifecycle\.preStop$/,
    when: ({ ours }) => ours === undefined,
    why: 'a native sidecar gets SIGTERM once the application has ended, and drains then',
  },
  {
    path: /\.istio-proxy\.lifecycle\.postStart$/,
    when: ({ theirs }) => theirs === undefined,
    why: 'holds the application without waiting for the ticks of a startup probe',
  },
  { path: /\.istio-proxy\.startupProbe$/, when: ({ ours }) => ours === undefined, why: 'the same: postStart does it' },
  { path: /\.imagePullPolicy$/, when: ({ ours }) => ours === undefined || ours === 'IfNotPresent', why: 'written out' },
  {
    path: /^metadata\.annotations\.prometheus\.io\/port$|^spec\..*PROXY_CONFIG/,
    only: /^(status_annotations|kubevirtInterfaces)$/,
    why: 'the agent listens on the status port that was asked for, and is scraped there',
  },
];

const own: Readonly<Record<string, string>> = {
  'hello-existing-cncf-networks': 'made with the CNI plug-in and Multus, which Lateen does not have yet',
  'custom-template': "made with a template of the installation's own, which its input does not hold",
};

for (const name of names) {
  const title = `${name}: differs from Istio's example only for a reason`;
  if (Object.hasOwn(own, name)) {
    test(`${name}: not compared`, (t) => {
      t.log(own[name]);
      t.pass();
    });
    continue;
  }
  test(title, (t) => {
    const read = (file: string) => parse(readFileSync(join(folder, file), 'utf8').replace(/\n---\s*$/, ''));
    const { object } = injectResource(read(`${name}.yaml`), configFor(name));
    const [ours, theirs] = [podOf(object), podOf(read(`${name}.yaml.injected`))];
    const found = differences(ours, theirs);
    const unexplained = found.filter((difference) => {
      const reason = reasons.find(
        ({ path, only, when = () => true }) =>
          path.test(difference.path) && (only?.test(name) ?? true) && when(difference),
      );
      t.log(`${difference.path}: ${reason?.why ?? 'NO REASON'}`);
      return !reason;
    });
    t.deepEqual(unexplained, []);
    t.deepEqual(order(ours), order(theirs), 'the containers start in the same order');
  });
}

if (names.length === 0)
  test("Istio's examples are not at hand", (t) => {
    t.log(`nothing in ${folder}`);
    t.pass();
  });

function podOf(object: unknown): Pod {
  const manifest = object as { kind: string; spec: { template: Pod } } & Pod;
  const { metadata, spec } = manifest.kind === 'Pod' ? manifest : manifest.spec.template;
  return { metadata, spec };
}

function order({ spec }: Pod): string[] {
  return [...(spec.initContainers ?? []), ...spec.containers].map(({ name }) => name);
}
