/** `npm run conformance`: the conformance suite of the Kubernetes Gateway API against Lateen on a cluster. */
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { bringUp, elsewhere, endOnSignal, ownName } from '../e2e/cluster/bring-up.ts';
import type { Cluster } from '../e2e/cluster/cluster.ts';
import { chooseProvider } from '../e2e/cluster/selection.ts';
import { clusterFolder } from '../e2e/local/folders.ts';
import { layout } from '../e2e/local/layout.ts';
import { supportedFeatures } from '../src/control/gateway-api/features.ts';
import { connect } from '../src/kube/connect.ts';
import { buildLateenImage } from '../tools/image/catalogue.ts';
import { buildSuiteImages } from './images.ts';
import { startLoadBalancer } from './load-balancer.ts';
import { type Programs, programs } from './programs.ts';

const usage = `usage: npm run conformance -- [options]
  --only NAME       a test by its name, HTTPRouteMatching; may be repeated. No report is written then
  --keep            leave the cluster up
  --cluster NAME    use the cluster of this name: the one that is up, else a new one
  --provider NAME   kubeconfig, kind or local (else LATEEN_E2E_PROVIDER, else the first that this machine offers)
  --debug           what the suite asked, and what it was answered
  --down            end the cluster and do nothing else`;

const top = join(import.meta.dirname, '..');
const report = join(top, 'docs/conformance/report.yaml');
const profiles = ['GATEWAY-HTTP', 'GATEWAY-GRPC', 'GATEWAY-TLS', 'GATEWAY-TCP', 'MESH-HTTP', 'MESH-GRPC'];
/** No two clusters share a network, and no node or pod has such an address. */
const balancedAddresses = '10.66.1.';

function progress(line: string): void {
  console.log(`  ${line}`);
}

/** Of a cluster that was kept: the control plane begins anew, with the image that is there now. The suite's pods keep their proxies. */
async function restart(cluster: Cluster): Promise<void> {
  for (const name of ['lateen-operator', 'istio-system']) {
    await cluster.kubectl(['-n', name, 'rollout', 'restart', 'deployment']);
    await cluster.kubectl(['-n', name, 'rollout', 'status', 'deployment', '--timeout=60s']);
  }
}

async function install(cluster: Cluster, { definitions }: Programs): Promise<void> {
  const apply = (file: string) =>
    cluster.kubectl(['apply', '--server-side', '--force-conflicts', '-f', file], { timeoutMs: 120_000 });
  // Some of what the suite tests is not in the standard channel yet: retries and CORS of HTTPRoutes among it.
  const folder = join(definitions, 'experimental');
  const files = readdirSync(folder).filter((file) => file.startsWith('gateway.networking.k8s.io_'));
  await Promise.all(files.map((file) => apply(join(folder, file))));
  await apply(join(top, 'deploy/operator.yaml'));
  await cluster.kubectl(['wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s']);
  await cluster.kubectl(['apply', '-f', '-'], {
    input: JSON.stringify({
      apiVersion: 'lateen.dev/v1alpha1',
      kind: 'IstioInstallation',
      metadata: { name: 'conformance', namespace: 'istio-system' },

      spec: {
        profile: 'minimal',
        values: { global: { proxy: { resources: { requests: { cpu: '1m', memory: '32Mi' } } } } },
      },
    }),
  });
  const ready = ['wait', '--for=condition=Ready', 'istioinstallation', '--all', '--timeout=120s'];
  await cluster.kubectl(ready, { timeoutMs: 130_000 });
  progress('Lateen is installed');
}

interface Totals {
  passed: number;
  failed: number;
}

/** Where the cluster's addresses can be reached: on `local`, in the first node's network. */
function inNetwork(cluster: Cluster): { argv: string[]; kubeconfig: string } {
  if (cluster.provider !== 'local') return { argv: [], kubeconfig: cluster.kubeconfig };
  const { nodes, pki } = layout(cluster.name, 1);
  return { argv: ['nsenter', `--net=${nodes[0].namespaceFile}`], kubeconfig: join(pki, 'admin.kubeconfig') };
}

interface Run {
  only: string | null;
  keep: boolean;
  debug: boolean;
}

async function runSuite(
  cluster: Cluster,
  { suite }: Programs,
  { only, keep, debug }: Run,
  signal: AbortSignal,
): Promise<Totals> {
  const { version } = JSON.parse(readFileSync(join(top, 'package.json'), 'utf8')) as { version: string };
  const { argv, kubeconfig } = inNetwork(cluster);
  const folder = join(clusterFolder(cluster.name), 'conformance');
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(report, '..'), { recursive: true });
  const log = join(folder, only === null ? 'suite.log' : `${only}.log`);
  const flags = [
    '-test.v',
    '-test.timeout=60m',
    '--gateway-class=istio',
    '--namespace-labels=istio-injection=enabled',
    `--supported-features=${supportedFeatures.join(',')}`,
    ...(only === null
      ? [`--conformance-profiles=${profiles.join(',')}`, `--report-output=${report}`]
      : [`--run-test=${only}`]),
    '--organization=lateen',
    '--project=lateen',
    '--url=https://lateen.dev',
    `--version=${version}`,
    '--contact=@lateen/maintainers',
    ...(keep ? ['--cleanup-base-resources=false'] : []),
    ...(debug ? ['--debug'] : []),
  ];
  progress(`the suite writes ${log}`);
  const [command, ...args] = [...argv, suite, ...flags];
  const child = spawn(command, args, {
    cwd: folder,
    env: { ...process.env, KUBECONFIG: kubeconfig },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  const out = createWriteStream(log);
  child.stderr.pipe(out, { end: false });
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
  const totals = { passed: 0, failed: 0 };
  for await (const line of createInterface({ input: child.stdout })) {
    out.write(`${line}\n`);
    const result = /^( *)--- (PASS|FAIL|SKIP): TestConformance\/(\S+) \(/.exec(line);
    if (!result || result[2] === 'SKIP') continue;
    const passed = result[2] === 'PASS';
    totals[passed ? 'passed' : 'failed']++;
    if (!passed || result[1].length <= 4) console.log(`${passed ? '  ✔' : '  ✖'} ${result[3]}`);
  }
  const code = await ended;
  out.end();
  if (code !== 0 && totals.failed === 0) totals.failed = 1;
  return totals;
}

async function main(): Promise<number> {
  const code = await elsewhere();
  if (code !== null) return code;
  const { values: options } = parseArgs({
    options: {
      only: { type: 'string', multiple: true, default: [] },
      keep: { type: 'boolean', default: false },
      cluster: { type: 'string' },
      provider: { type: 'string' },
      debug: { type: 'boolean', default: false },
      down: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (options.help) {
    console.log(usage);
    return 0;
  }
  process.chdir(top);
  const { provider, why } = await chooseProvider(options.provider ?? (process.env.LATEEN_E2E_PROVIDER || undefined));
  if (!provider) throw new Error(`no cluster can be had here (${why})`);
  const name = options.cluster ?? ownName('conf');
  if (options.down) {
    await provider.remove(name);
    return 0;
  }
  console.log(`Gateway API conformance on provider ${provider.name} (${why}), cluster ${name}`);
  const running = new AbortController();
  const end = async () => {
    running.abort();
    if (!options.keep) await provider.remove(name);
  };
  endOnSignal(end);
  const totals: Totals = { passed: 0, failed: 0 };
  try {
    const built = await programs(progress);
    const cluster = await bringUp(provider, {
      name,
      reuse: options.cluster !== undefined,
      images: [buildLateenImage, () => buildSuiteImages(built)],
      progress,
    });
    await install(cluster, built);
    if (options.cluster !== undefined) await restart(cluster);
    const client = await connect({ kubeconfig: cluster.kubeconfig });
    const stop =
      cluster.provider === 'local'
        ? startLoadBalancer(client, balancedAddresses, (error) => progress(`load balancer: ${error.message}`))
        : async () => {};
    for (const only of options.only.length > 0 ? options.only : [null]) {
      const { passed, failed } = await runSuite(cluster, built, { ...options, only }, running.signal);
      totals.passed += passed;
      totals.failed += failed;
    }
    await stop();
    client.close();
  } catch (error) {
    console.log(`  ✖ ${error instanceof Error ? error.message : error}`);
    totals.failed++;
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
