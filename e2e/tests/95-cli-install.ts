import { join } from 'node:path';
import test from 'ava';
import { buildLateenImage } from '../../tools/image/catalogue.ts';
import { bringUp, secondName } from '../cluster/bring-up.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { attempt, type CommandResult } from '../cluster/command.ts';
import { providerNamed } from '../cluster/selection.ts';
import { cluster } from '../support/cluster.ts';
import { collectEvidence } from '../support/evidence.ts';
import { waitFor } from '../support/wait.ts';

const command = join(import.meta.dirname, '../../bin/lateen');
const provider = providerNamed(cluster.provider);
const name = secondName(cluster.name);
let other: Cluster = cluster;

test.before('another cluster', async (t) => {
  // Where the cluster is given there is no other: the tests before have removed everything from it.
  if (cluster.provider === 'kubeconfig') return;
  t.timeout(300_000);
  other = await bringUp(provider, { name, images: [buildLateenImage], progress: (line) => t.log(line) });
});

test.afterEach.always('evidence of a failure', async (t) => {
  if (!t.passed) t.log(`evidence: ${await collectEvidence(other, t.title.replace(/^.* for /, ''))}`);
});

test.after.always('the other cluster goes', async () => {
  if (other !== cluster || cluster.provider !== 'kubeconfig') await provider.remove(name);
});

/** `lateen` as a user runs it, with the other cluster's kubeconfig. */
function lateen(...args: string[]): Promise<CommandResult> {
  return attempt([command, ...args], { env: { ...process.env, NO_COLOR: '1', KUBECONFIG: other.kubeconfig } });
}

async function named(kinds: string): Promise<string[]> {
  return (await other.kubectl(['get', kinds, '-o', 'name'])).split('\n').filter(Boolean);
}

test.serial('lateen install makes an installation Ready within 60 s, with a check mark a component', async (t) => {
  const begun = Date.now();
  // Progress is for a person, so it goes to standard error.
  const { code, stderr } = await lateen('install', '--set', 'profile=demo', '-y');
  const durationMs = Date.now() - begun;
  t.log(stderr);
  t.is(code, 0, stderr);
  t.log(`Ready after ${(durationMs / 1000).toFixed(1)} s`);
  t.true(durationMs < 60_000, `${durationMs} ms`);
  const marked = ['Operator', 'Istio core', 'Istiod', 'Egress gateways', 'Ingress gateways'];
  for (const component of marked) t.regex(stderr, new RegExp(`^✔ ${component} installed$`, 'm'));
  t.is(stderr.trimEnd().split('\n').at(-1), 'Made this installation the default for injection and validation.');
  const ready = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}';
  t.is(await other.kubectl(['get', 'istioinstallations', '-o', ready]), 'True');
});

test.serial('lateen version tells of the client, the control plane and the proxies', async (t) => {
  const versions = await waitFor(
    async () => {
      const { code, stdout, stderr } = await lateen('version', '-o', 'json');
      if (code !== 0) throw new Error(stderr);
      const found = JSON.parse(stdout);
      return found.dataPlaneVersion?.length >= 2 && found;
    },
    { what: 'both gateways to be known' },
  );
  const { clientVersion, meshVersion, dataPlaneVersion } = versions;
  t.regex(clientVersion.version, /^\d+\.\d+\.\d+/);
  t.is(meshVersion[0].Component, 'pilot');
  t.is(meshVersion[0].Info.version, clientVersion.version);
  t.true(dataPlaneVersion.every((proxy: { IstioVersion: string }) => proxy.IstioVersion !== 'unknown'));
});

test.serial('lateen proxy-status lists the gateways as synced', async (t) => {
  const table = await waitFor(
    async () => {
      const { code, stdout, stderr } = await lateen('proxy-status');
      if (code !== 0) throw new Error(stderr);
      const gateways = stdout.split('\n').filter((line) => /^istio-(in|e)gressgateway-/.test(line));
      return gateways.length === 2 && gateways.every((line) => !line.includes('STALE')) && stdout;
    },
    { what: 'both gateways to be synced' },
  );
  t.log(table);
  t.regex(table, /^NAME +CLUSTER +CDS/);
  t.regex(table, /^istio-ingressgateway-\S+\.istio-system +\S+ +SYNCED/m);
});

test.serial('lateen uninstall --purge leaves nothing of ours', async (t) => {
  const { code, stderr } = await lateen('uninstall', '-y', '--purge');
  t.log(stderr);
  t.is(code, 0, stderr);
  const left = [
    ...(await named('customresourcedefinitions')).filter((entry) => entry.endsWith('.lateen.dev')),
    ...(await named('namespaces')).filter((entry) => entry.endsWith('/lateen-operator')),
    ...(await named('mutatingwebhookconfigurations,validatingwebhookconfigurations')).filter((entry) =>
      /istio|lateen/.test(entry),
    ),
    ...(await named('clusterroles,clusterrolebindings')).filter((entry) => /istio|lateen/.test(entry)),
    ...(
      await other.kubectl(['-n', 'istio-system', 'get', 'deployments,services,secrets,serviceaccounts', '-o', 'name'])
    )
      .split('\n')
      .filter((entry) => /istio/.test(entry)),
  ];
  t.deepEqual(left, []);
});
