/**
 * The half of `lateen up` that runs the mesh: the control plane over a folder of YAML, and a pod for each replica of each Deployment. It is
 * alone in namespaces of its own, or with `--loopback WHY` a process like any other.
 * Arguments: working folder, port lent on loopback, the user's folders, `--demo`, `--once`.
 */
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { get } from 'node:http';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { parseAllDocuments } from 'yaml';
import { Terminal } from '../cli/terminal.ts';
import { version } from '../lib/version.ts';
import type { Ask, CallerAnswer } from './caller.ts';
import type { Ground } from './ground.ts';
import { createLoopback } from './loopback.ts';
import { createMesh, type LocalMesh } from './mesh.ts';
import { createNamespaces } from './namespaces.ts';
import { type Admission, type Manifest, plan } from './plan.ts';
import { type RunningPod, startPod } from './pod.ts';
import { type Narrator, type Stage, tell } from './story.ts';

const samples = join(import.meta.dirname, '../../samples/bookinfo');
const readyWithinMs = 60_000;

const { values, positionals } = parseArgs({
  options: { demo: { type: 'boolean' }, once: { type: 'boolean' }, loopback: { type: 'string' } },
  allowPositionals: true,
});
const [folder, port, ...given] = positionals;
const terminal = new Terminal(process.stdout);
const begun = Date.now();

process.on('SIGINT', () => {}); // The terminal sends it to everyone; the outside decides, and closes standard input.
const stopped = new Promise<void>((resolve) => {
  process.stdin
    .on('end', resolve)
    .on('close', resolve)
    .on('error', () => resolve())
    .resume();
  process.on('SIGTERM', () => resolve());
});

const pods: RunningPod[] = [];
let ground = null as Ground | null;
let mesh = null as LocalMesh | null;
try {
  const finished = run().then(() => (values.once ? undefined : stopped));
  await Promise.race([finished, stopped]);
} catch (error) {
  terminal.failure(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
await mesh?.close();
await ground?.close();
// The outside does the same, unless it was killed.
await rm(folder, { recursive: true, force: true, maxRetries: 3 }).catch(() => {});
process.exit();

async function run(): Promise<void> {
  const place = values.loopback ? await createLoopback(folder, values.loopback) : await createNamespaces(folder);
  ground = place;
  terminal.line(`Lateen ${version}: a mesh on this machine, ${place.description}\n`);
  const userFiles = values.demo ? [join(samples, 'bookinfo.yaml'), join(samples, 'client.yaml')] : given;
  const manifests = (await Promise.all(userFiles.map(readManifests))).flat();
  const objects = join(folder, 'objects');
  await mkdir(objects, { recursive: true });

  const step = terminal.step('Control plane');
  const local = await createMesh({ folder: objects, host: place.controlAddress });
  mesh = local;
  const admission = { podAddress: place.podAddress, inject: local.inject };
  const planned = plan([...manifests, ...local.gatewayManifests()], admission);
  await place.prepare(planned);
  await put(objects, 'plan', planned.manifests);
  await local.start();
  step.done(`Control plane on ${place.controlAddress}:${local.port}, CA of trust domain cluster.local`);

  const starting = terminal.step(`0 of ${planned.pods.length} pods`);
  let ready = 0;
  await Promise.all(
    planned.pods.map(async (each) => {
      const files = local.filesOf(each.pod, place.hostAddresses(each, planned));
      const sandbox = await place.createSandbox(each, planned, files);
      const pod = await startPod(each, sandbox);
      pods.push(pod);
      await untilReady(pod);
      pod.startApplication();
      ready += 1;
      starting.update(`${ready} of ${planned.pods.length} pods`);
    }),
  );
  starting.done(`${pods.length} pods, each with its proxy, in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  for (const pod of [...pods].sort((a, b) => (a.name < b.name ? -1 : 1)))
    terminal.success(`  ${pod.ip.padEnd(12)} ${pod.name}`);
  const gateway = pods.find(({ labels }) => labels.istio === 'ingressgateway');
  if (gateway) await lendGateway(gateway);

  if (values.demo) {
    await tell(stageOf(objects), narrator());
    terminal.line(`\nAll of this was observed in ${((Date.now() - begun) / 1000).toFixed(1)} s.`);
  }
  if (!values.once) {
    if (gateway) terminal.line(`\nOpen http://127.0.0.1:${port}/${values.demo ? 'productpage' : ''}`);
    if (!values.demo) follow(given, objects, local, admission);
    terminal.line('Ctrl-C ends it and leaves nothing behind.');
  }
}

/** Objects as a file that the control plane reads; renamed into place, so that it never sees half of one. */
async function put(objects: string, name: string, manifests: readonly unknown[]): Promise<void> {
  const path = join(objects, `${name}.json`);
  await writeFile(`${path}.part`, JSON.stringify({ apiVersion: 'v1', kind: 'List', items: manifests }));
  await rename(`${path}.part`, path);
}

async function readManifests(path: string): Promise<Manifest[]> {
  if ((await stat(path)).isDirectory()) {
    const names = (await readdir(path, { recursive: true })).filter((name) => /\.(ya?ml|json)$/.test(name)).sort();
    return (await Promise.all(names.map((name) => readManifests(join(path, name))))).flat();
  }
  return parseAllDocuments(await readFile(path, 'utf8')).flatMap((document, i) => {
    if (document.errors.length > 0) throw new Error(`${path}, document ${i + 1}: ${document.errors[0].message}`);
    const manifest = document.toJS() as Manifest | null;
    if (manifest === null) return [];
    if (typeof manifest.kind !== 'string' || typeof manifest.metadata?.name !== 'string')
      throw new Error(`${path}, document ${i + 1}: kind and metadata.name are needed`);
    return [manifest];
  });
}

/** Changes of routes and policies in the user's folders count at once; workloads stay as they were started. */
function follow(paths: readonly string[], objects: string, local: LocalMesh, admission: Admission): void {
  let last = '';
  const timer = setInterval(async () => {
    try {
      const manifests = (await Promise.all(paths.map(readManifests))).flat();
      const configuration = manifests.filter(({ apiVersion }) => apiVersion.includes('.istio.io/'));
      const text = JSON.stringify(configuration);
      if (text !== last && last !== '')
        await put(objects, 'plan', plan([...manifests, ...local.gatewayManifests()], admission).manifests);
      last = text;
    } catch (error) {
      terminal.warning(error instanceof Error ? error.message : String(error));
    }
  }, 1_000);
  timer.unref();
}

async function untilReady(pod: RunningPod): Promise<void> {
  for (
    const start = Date.now();
    Date.now() - start < readyWithinMs;
    await new Promise((resolve) => setTimeout(resolve, 50))
  ) {
    const answer = await request(`http://${pod.ip}:15021/healthz/ready`).catch(() => null);
    if (answer?.status === 200) return;
    const ended = pod.containers.find(({ process }) => process.exitCode !== null && process.exitCode !== 0);
    if (ended)
      throw new Error(
        `pod ${pod.name}: ${ended.name} ended with ${ended.process.exitCode}:\n${ended.lines.slice(-20).join('\n')}`,
      );
  }
  const proxy = pod.containers.find(({ name }) => name === 'istio-proxy');
  throw new Error(
    `pod ${pod.name}: the proxy was not ready within ${readyWithinMs / 1000} s:\n${proxy?.lines.slice(-20).join('\n')}`,
  );
}

function request(url: string): Promise<CallerAnswer> {
  return new Promise((resolve, reject) => {
    const outgoing = get(url, { timeout: 15_000 }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('error', reject);
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: {}, body, error: '' }));
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error(`${url}: no answer`)));
    outgoing.on('error', reject);
  });
}

/** The Unix socket that the outside connects to, on to the gateway's HTTP port. */
function lendGateway(gateway: RunningPod): Promise<void> {
  const server = createServer((client) => {
    const upstream = connect(8080, gateway.ip);
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    client.on('error', end).on('close', end);
    upstream.on('error', end).on('close', end);
    client.pipe(upstream).pipe(client);
  });
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(join(folder, 'ingress.sock'), resolve);
  });
}

function narrator(): Narrator {
  return {
    heading: (text) => terminal.line(`\n${terminal.style('bold', text)}`),
    line: (text) => terminal.line(text),
    success: (text) => terminal.success(text),
  };
}

function stageOf(objects: string): Stage {
  const proxiesOf = (app: string) => pods.filter(({ labels }) => labels.app === app);
  const gateway = pods.find(({ labels }) => labels.istio === 'ingressgateway');
  return {
    async apply(sample) {
      const manifests = (await readManifests(join(samples, sample))).map((manifest) => ({
        ...manifest,
        metadata: { namespace: 'default', ...manifest.metadata },
      }));
      await put(objects, sample.replaceAll('/', '-'), manifests);
    },
    ask: callerOf(proxiesOf('curl')[0]),
    page: (path) =>
      request(`http://${gateway?.ip}:8080${path}`).catch((error: Error) => ({
        status: 0,
        headers: {},
        body: '',
        error: error.message,
      })),
    metrics: (app) =>
      Promise.all(proxiesOf(app).map(async ({ ip }) => (await request(`http://${ip}:15090/stats/prometheus`)).body)),
    accessLog: async (app) =>
      proxiesOf(app).flatMap(({ containers }) => containers.find(({ name }) => name === 'istio-proxy')?.lines ?? []),
  };
}

/** Speaks to the client pod's program: one line out, one line in, in turn. */
function callerOf(pod: RunningPod): Stage['ask'] {
  let lines: AsyncIterator<string> | null = null;
  return async (ask: Ask) => {
    const program = pod.containers.find(({ name }) => name === 'curl')?.process;
    if (!program?.stdin || !program.stdout) throw new Error(`pod ${pod.name}: its client is not running`);
    lines ??= createInterface({ input: program.stdout })[Symbol.asyncIterator]();
    program.stdin.write(`${JSON.stringify(ask)}\n`);
    const { value } = await lines.next();
    if (value === undefined) throw new Error(`pod ${pod.name}: its client ended`);
    return (JSON.parse(value) as { answers: CallerAnswer[] }).answers;
  };
}
