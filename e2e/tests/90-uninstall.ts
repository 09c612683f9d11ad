import test from 'ava';
import { cluster } from '../support/cluster.ts';
import { containerNames, installationName, manifests } from '../support/mesh.ts';
import { apply } from '../support/objects.ts';
import { evidenceOnFailure } from '../support/on-failure.ts';
import { pods, rolledOut } from '../support/pods.ts';
import { waitFor } from '../support/wait.ts';

evidenceOnFailure(test);

const names = async (args: string[]) =>
  (await cluster.kubectl(['get', ...args, '--ignore-not-found', '-o', 'name'])).split('\n').filter(Boolean).sort();

test.serial("deleting the installation removes what it made and leaves what is the users'", async (t) => {
  await apply(manifests.reviewsTestV2(), { namespace: 'default' });
  const users = () => names(['virtualservices,destinationrules,gateways.networking.istio.io', '-A']);
  const before = await users();
  t.true(before.length >= 4, before.join(', '));
  await cluster.kubectl(['delete', 'istioinstallation', await installationName(), '--timeout=60s'], {
    timeoutMs: 70_000,
  });
  t.deepEqual(await users(), before);
  const left = [
    ...(await names([
      'mutatingwebhookconfigurations,validatingwebhookconfigurations,clusterroles,clusterrolebindings',
    ])),
    ...(await names(['deployments,services,secrets,serviceaccounts,leases,roles,rolebindings', '-n', 'istio-system'])),
  ].filter((name) => /istio/.test(name));
  t.deepEqual(left, []);
  await waitFor(async () => !(await names(['configmaps', '-A'])).some((name) => name.includes('istio-ca-root-cert')), {
    what: 'the root certificates to be gone',
  });
});

test.serial('pods restarted after it come up without a sidecar', async (t) => {
  await cluster.kubectl(['-n', 'default', 'rollout', 'restart', 'deployment/ratings-v1']);
  await rolledOut('default', ['ratings-v1']);
  const [pod] = await waitFor(
    async () => {
      const found = await pods('default', 'app=ratings');
      return found.length === 1 && found;
    },
    { what: 'the old pod to be gone' },
  );
  t.deepEqual(containerNames(pod), ['ratings']);
});
