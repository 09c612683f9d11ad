/**
 * `npm run demo -- --cluster`: what `lateen up --demo` shows on this machine, on a real cluster: that of KUBECONFIG, or one that is
 * made for it and taken down after it.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { Terminal } from '../src/cli/terminal.ts';
import type { CallerAnswer } from '../src/up/caller.ts';
import { type Stage, tell } from '../src/up/story.ts';
import { buildLateenImage, buildTestImages } from '../tools/image/catalogue.ts';
import { bringUp, elsewhere, endOnSignal, ownName } from './cluster/bring-up.ts';
import type { Cluster, Forward, Provider } from './cluster/cluster.ts';
import { chooseProvider } from './cluster/selection.ts';

const usage = `usage: npm run demo -- --cluster [options]
  --once            end when everything was shown, instead of serving until Ctrl-C
  --provider NAME   kubeconfig, kind or local (else the first that this machine offers)`;

const top = join(import.meta.dirname, '..');
/** Of its own, so that it meets nothing else of a user's cluster. */
const namespace = 'lateen-demo';
const terminal = new Terminal(process.stdout);

/** One of samples/bookinfo's files; the samples' identities are those of namespace default. */
function sample(path: string): string {
  return readFileSync(join(top, 'samples/bookinfo', path), 'utf8').replaceAll('/ns/default/', `/ns/${namespace}/`);
}

/** `lateen` as a user runs it, with its words shown. */
async function lateen(cluster: Cluster, ...args: string[]): Promise<void> {
  terminal.line(`\n${terminal.style('bold', `lateen ${args.join(' ')}`)}`);
  const env = { ...process.env, KUBECONFIG: cluster.kubeconfig };
  const child = spawn(join(top, 'bin/lateen'), args, { env, stdio: 'inherit' });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.on('error', reject);
  child.on('exit', resolve);
  const code = await promise;
  if (code !== 0) throw new Error(`lateen ${args.join(' ')} ended with exit code ${code}`);
}

async function podsOf(cluster: Cluster, app: string): Promise<string[]> {
  const path = 'jsonpath={.items[*].metadata.name}';
  const names = await cluster.kubectl(['-n', namespace, 'get', 'pods', '-l', `app=${app}`, '-o', path]);
  return names.split(' ').filter(Boolean);
}

/** The program that `lateen up` has in its client pod, run in the cluster's: a line out, a line in, in turn. */
function startCaller(cluster: Cluster): ChildProcessWithoutNullStreams {
  const source = readFileSync(join(top, 'src/up/caller.ts'), 'utf8');
  const [command, ...args] = cluster.kubectlCommand;
  const inside = ['node', '--input-type=module-typescript', '-e', source];
  const words = [...args, '-n', namespace, 'exec', '-i', 'deployment/curl', '-c', 'curl', '--', ...inside];
  const child = spawn(command, words, { env: { ...process.env, KUBECONFIG: cluster.kubeconfig }, stdio: 'pipe' });
  child.stdin.on('error', () => {});
  return child;
}

function stageOf(cluster: Cluster, gateway: Forward, caller: ChildProcessWithoutNullStreams): Stage {
  const lines = createInterface({ input: caller.stdout })[Symbol.asyncIterator]();
  let wrong = '';
  caller.stderr.on('data', (chunk: Buffer) => {
    wrong = (wrong + chunk).slice(-2_000);
  });
  return {
    async apply(path) {
      await cluster.kubectl(['-n', namespace, 'apply', '-f', '-'], { input: sample(path) });
    },
    async ask(ask) {
      caller.stdin.write(`${JSON.stringify(ask)}\n`);
      const { value } = await lines.next();
      if (value === undefined) throw new Error(`the client ended: ${wrong.trim()}`);
      return (JSON.parse(value) as { answers: CallerAnswer[] }).answers;
    },
    async page(path) {
      try {
        const answer = await fetch(`${gateway.url}${path}`, { signal: AbortSignal.timeout(15_000) });
        return { status: answer.status, headers: {}, body: await answer.text(), error: '' };
      } catch (error) {
        return { status: 0, headers: {}, body: '', error: error instanceof Error ? error.message : String(error) };
      }
    },
    async metrics(app) {
      const path = (pod: string) => `/api/v1/namespaces/${namespace}/pods/${pod}:15090/proxy/stats/prometheus`;
      const names = await podsOf(cluster, app);
      return Promise.all(names.map((pod) => cluster.kubectl(['get', '--raw', path(pod)])));
    },
    async accessLog(app) {
      const text = (pod: string) => cluster.kubectl(['-n', namespace, 'logs', pod, '-c', 'istio-proxy', '--tail=200']);
      const logs = await Promise.all((await podsOf(cluster, app)).map(text));
      return logs.flatMap((log) => log.split('\n'));
    },
  };
}

async function removeNamespace(cluster: Cluster): Promise<void> {
  const args = ['delete', 'namespace', namespace, '--ignore-not-found', '--timeout=120s'];
  await cluster.kubectl(args, { timeoutMs: 130_000 });
}

async function startBookinfo(cluster: Cluster): Promise<void> {
  await removeNamespace(cluster);
  await cluster.kubectl(['create', 'namespace', namespace]);
  await cluster.kubectl(['label', 'namespace', namespace, 'istio-injection=enabled']);
  const step = terminal.step(`Bookinfo in namespace ${namespace}, labelled istio-injection=enabled`);
  const begun = Date.now();
  for (const path of ['bookinfo.yaml', 'client.yaml'])
    await cluster.kubectl(['-n', namespace, 'apply', '-f', '-'], { input: sample(path) });
  const args = ['-n', namespace, 'rollout', 'status', 'deployment', '--timeout=120s'];
  await cluster.kubectl(args, { timeoutMs: 130_000 });
  const pods = await cluster.kubectl(['-n', namespace, 'get', 'pods', '--no-headers']);
  step.done(`Bookinfo and a client, in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  for (const line of pods.trim().split('\n')) terminal.line(`    ${line}`);
}

/** What there is to undo, the last made first. */
type Undo = Array<() => Promise<unknown>>;

async function prepare(provider: Provider, undo: Undo): Promise<Cluster> {
  const name = ownName('demo');
  const isOwn = provider.name !== 'kubeconfig';
  if (isOwn) undo.push(() => provider.remove(name));
  const step = terminal.step(isOwn ? `A cluster by provider ${provider.name}` : 'The cluster of KUBECONFIG');
  const images = [buildTestImages, buildLateenImage];
  const cluster = await bringUp(provider, { name, images, progress: (line) => step.update(line) });
  step.done(`Cluster ${isOwn ? `${name} (${provider.name})` : `of ${cluster.kubeconfig}`}, with the images`);
  const { stdout } = await cluster.tryKubectl(['get', 'istioinstallations', '-o', 'name']);
  if (stdout.trim() !== '') terminal.success(`Lateen is installed already: ${stdout.trim()}`);
  else {
    if (!isOwn) undo.push(() => lateen(cluster, 'uninstall', '--purge', '-y'));
    await lateen(cluster, 'install', '--set', 'profile=demo', '-y');
  }
  if (!isOwn) undo.push(() => removeNamespace(cluster));
  await startBookinfo(cluster);
  return cluster;
}

async function show(cluster: Cluster, undo: Undo): Promise<Forward> {
  const gateway = await cluster.forward({ namespace: 'istio-system', service: 'istio-ingressgateway', port: 80 });
  undo.push(() => gateway.close());
  const caller = startCaller(cluster);
  undo.push(async () => caller.kill());
  await tell(stageOf(cluster, gateway, caller), {
    heading: (text) => terminal.line(`\n${terminal.style('bold', text)}`),
    line: (text) => terminal.line(text),
    success: (text) => terminal.success(text),
  });
  return gateway;
}

async function main(): Promise<number> {
  const wrapped = await elsewhere();
  if (wrapped !== null) return wrapped;
  const { values } = parseArgs({
    options: {
      cluster: { type: 'boolean' },
      once: { type: 'boolean', default: false },
      provider: { type: 'string' },
      help: { type: 'boolean' },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const { provider, why } = await chooseProvider(values.provider ?? (process.env.LATEEN_E2E_PROVIDER || undefined));
  if (!provider) throw new Error(`no cluster can be had here (${why}); "npm run demo" needs none`);
  const undo: Undo = [];
  let ending: Promise<void> | null = null;
  const end = () => {
    ending ??= (async () => {
      for (const one of undo.reverse()) await one();
    })();
    return ending;
  };
  endOnSignal(end);
  const begun = Date.now();
  try {
    const gateway = await show(await prepare(provider, undo), undo);
    terminal.line(`\nAll of this was observed in ${((Date.now() - begun) / 1000).toFixed(1)} s.`);
    if (!values.once) {
      terminal.line(`\nOpen ${gateway.url}/productpage\nCtrl-C ends it and leaves nothing behind.`);
      // The forwarding process keeps this one alive until a signal ends both.
      await new Promise(() => {});
    }
  } finally {
    await end();
  }
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  terminal.failure(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
