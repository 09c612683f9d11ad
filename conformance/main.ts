/** `npm run conformance`: the conformance suite of the Kubernetes Gateway API against Lateen, on a real cluster. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { bringUp, elsewhere, endOnSignal, ownName } from '../e2e/cluster/bring-up.ts';
import type { Cluster } from '../e2e/cluster/cluster.ts';
import { chooseProvider } from '../e2e/cluster/selection.ts';
import { collectEvidence, evidenceFolder } from '../e2e/support/evidence.ts';
import { buildLateenImage } from '../tools/image/catalogue.ts';
import type { Totals } from '../tools/tap.ts';
import { type ProfileName, profileNames, supportedFeatures } from './features.ts';
import { classAccepted, installGatewayApi } from './gateway-api.ts';
import { buildSuiteImages } from './images.ts';
import { installLateen } from './installation.ts';
import { startLoadBalancer, unusableAddress, usableAddress } from './load-balancer.ts';
import { programs } from './programs.ts';
import { chosen, implementation, runSuite } from './suite-run.ts';

const usage = `usage: npm run conformance -- [options] [-- flags of the suite]
  --keep            leave the cluster and the suite's base resources up
  --cluster NAME    use the cluster of this name: the one that is up, else a new one
  --only TEXT       only tests whose name contains TEXT; may be repeated; "none" prepares the cluster and runs no test
  --run-test NAME   exactly this test, even where its features are not listed as supported
  --profile NAME    only this profile; may be repeated (${profileNames.join(', ')})
  --feature NAME    a feature to test beyond those of conformance/features.ts; may be repeated
  --debug           the suite says more in its log
  --load-balancer   give Services of type LoadBalancer addresses (provider local: always)
  --provider NAME   kubeconfig, kind or local (else LATEEN_E2E_PROVIDER, else the first that this machine offers)
  --down            end the cluster and do nothing else
 A run that leaves nothing out writes docs/conformance/report.yaml.`;

const top = join(import.meta.dirname, '..');
const gatewayClass = 'istio';

function read() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      keep: { type: 'boolean', default: false },
      cluster: { type: 'string' },
      only: { type: 'string', multiple: true, default: [] },
      'run-test': { type: 'string' },
      profile: { type: 'string', multiple: true, default: [] },
      feature: { type: 'string', multiple: true, default: [] },
      debug: { type: 'boolean', default: false },
      'load-balancer': { type: 'boolean', default: false },
      provider: { type: 'string' },
      down: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  for (const name of values.profile)
    if (!profileNames.includes(name as ProfileName))
      throw new Error(`profile "${name}" is unknown; there are ${profileNames.join(', ')}`);
  return { ...values, profile: values.profile as ProfileName[], flags: positionals };
}

type Options = ReturnType<typeof read>;

function progress(line: string): void {
  console.log(`  ${line}`);
}

function profilesOf({ profile }: Options): readonly ProfileName[] {
  return profile.length > 0 ? profile : profileNames;
}

function suiteFlags(options: Options): string[] {
  const profiles = profilesOf(options);
  return [
    ...chosen(options.only, options['run-test']),
    `-gateway-class=${gatewayClass}`,
    `-conformance-profiles=${profiles.join()}`,
    `-supported-features=${[...supportedFeatures, ...options.feature].join()}`,
    `-usable-address=${usableAddress}`,
    `-unusable-address=${unusableAddress}`,
    `-debug=${options.debug}`,
    `-cleanup-base-resources=${!options.keep}`,
    ...implementation(top),
    ...options.flags,
  ];
}

async function prepare(cluster: Cluster): Promise<void> {
  await installGatewayApi(cluster);
  progress('the CRDs of the Gateway API are established');
  await installLateen(cluster, progress);
  progress('Lateen is ready');
}

async function test(cluster: Cluster, options: Options, signal: AbortSignal): Promise<Totals> {
  if (options.only.length === 1 && options.only[0] === 'none') return { passed: 0, failed: 0 };
  if (profilesOf(options).some((name) => name.startsWith('GATEWAY-'))) await classAccepted(cluster, gatewayClass);
  const isWhole = [options.only, options.profile, options.feature, options.flags].every((list) => list.length === 0);
  const evidence = evidenceFolder(cluster.name);
  rmSync(evidence, { recursive: true, force: true });
  const log = join(evidence, 'conformance.log');
  progress(`all that the suite says: ${log}`);
  const totals = await runSuite({
    program: (await programs(progress)).suite,
    from: cluster.vantage(),
    flags: suiteFlags(options),
    log,
    report: isWhole && !options['run-test'] ? join(top, 'docs/conformance/report.yaml') : join(evidence, 'report.yaml'),
    signal,
  });
  if (totals.failed > 0) progress(`pods, events and logs: ${await collectEvidence(cluster, 'at the end')}`);
  return totals;
}

function tellHowToReach({ name, provider, kubeconfig, kubectlCommand }: Cluster): void {
  // Named, since where KUBECONFIG is set another provider would come first.
  const again = `npm run conformance -- --provider ${provider} --cluster ${name}`;
  console.log(`cluster ${name} is left up:`);
  console.log(`  export KUBECONFIG=${kubeconfig}`);
  console.log(`  ${kubectlCommand.join(' ')} get gateways.gateway.networking.k8s.io -A`);
  console.log(`  ${again} --keep --only TEXT      # tests again, with a fresh image`);
  console.log(`  ${again} --down`);
}

async function main(): Promise<number> {
  const code = await elsewhere();
  if (code !== null) return code;
  const options = read();
  if (options.help) {
    console.log(usage);
    return 0;
  }
  process.chdir(top);
  const { provider, why } = await chooseProvider(options.provider ?? (process.env.LATEEN_E2E_PROVIDER || undefined));
  if (!provider) {
    console.log(`conformance: none, since no cluster can be had here (${why})`);
    return 0;
  }
  const name = options.cluster ?? ownName('conf');
  if (options.down) {
    await provider.remove(name);
    return 0;
  }
  console.log(`conformance on provider ${provider.name} (${why}), cluster ${name}`);
  const running = new AbortController();
  const undo: Array<() => Promise<void>> = options.keep ? [] : [() => provider.remove(name)];
  const end = async () => {
    running.abort();
    while (undo.length > 0) await undo.pop()?.();
  };
  endOnSignal(end);
  let totals: Totals = { passed: 0, failed: 1 };
  try {
    const cluster = await bringUp(provider, {
      name,
      reuse: options.cluster !== undefined,
      images: [buildLateenImage, async () => buildSuiteImages(await programs(progress))],
      progress,
    });
    await prepare(cluster);
    if (provider.name === 'local' || options['load-balancer']) {
      const balancer = await startLoadBalancer(cluster, progress);
      undo.push(() => balancer.stop());
    }
    totals = await test(cluster, options, running.signal);
    if (options.keep) tellHowToReach(cluster);
  } catch (error) {
    console.log(`  ✖ ${error instanceof Error ? error.message : error}`);
  } finally {
    await end();
  }
  console.log(`${totals.passed} passed, ${totals.failed} failed`);
  return totals.failed > 0 ? 1 : 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
