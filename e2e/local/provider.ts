import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { writeArchive } from '../../tools/image/archive.ts';
import type { Availability, Cluster, Forward, ForwardTarget, Provider, Vantage } from '../cluster/cluster.ts';
import { attempt, type CommandOptions, type CommandResult, run } from '../cluster/command.ts';
import { KubectlCluster, listening } from '../cluster/kubectl-cluster.ts';
import { type Binaries, binaries, buildObstacle } from './binaries.ts';
import { ApiProbe, startApiServer, startControllers, startDns, systemObjects } from './control-plane.ts';
import { install, nodePackages, obstacle } from './debian.ts';
import { cacheFolder, clusterFolder } from './folders.ts';
import { addresses, type Layout, layout, pauseImage } from './layout.ts';
import { connect } from './network.ts';
import { Node } from './node.ts';
import { clear } from './remains.ts';
import { until } from './until.ts';

type Progress = (line: string) => void;

/** Written once a cluster is up; `attach` reads it. */
interface ClusterRecord {
  nodes: number;
}

class LocalCluster extends KubectlCluster {
  readonly provider = 'local';
  readonly #layout: Layout;
  readonly #nodes: Node[];
  readonly #binaries: Binaries;

  constructor(at: Layout, nodes: Node[], programs: Binaries) {
    const names = at.nodes.map((node) => node.name);
    super(at.cluster, join(at.folder, 'kubeconfig'), names, [programs.kube, 'kubectl'], at.log);
    this.#layout = at;
    this.#nodes = nodes;
    this.#binaries = programs;
  }

  async loadImages(archivePath: string): Promise<void> {
    await Promise.all(this.#nodes.map((node) => node.importImages(archivePath)));
  }

  /** From the first node, so a Service is reached as kube-proxy routes it there. */
  override async forward(target: ForwardTarget): Promise<Forward> {
    const [kind, name, path] = target.pod
      ? ['pod', target.pod, '{.status.podIP}']
      : ['service', target.service ?? '', '{.spec.clusterIP}'];
    const address = await this.kubectl(['-n', target.namespace, 'get', kind, name, '-o', `jsonpath=${path}`]);
    if (!/^[\d.]+$/.test(address)) throw new Error(`${kind} ${target.namespace}/${name}: has no address to forward to`);
    const { namespaceFile } = this.#layout.nodes[0];
    return listening(
      [this.#binaries.forward, '-hold', namespaceFile, '127.0.0.1:0', `${address}:${target.port}`],
      process.env,
    );
  }

  async nodeExec(name: string, argv: string[], options?: CommandOptions): Promise<CommandResult> {
    const node = this.#nodes.find((candidate) => candidate.layout.name === name);
    if (!node) throw new Error(`cluster ${this.name}: no node ${name}; there are ${this.nodes.join(', ')}`);
    return node.exec(argv, options);
  }

  /** The first node's network, as kube-proxy routes there; nothing else of the node's. */
  override vantage(): Vantage {
    const { namespaceFile } = this.#layout.nodes[0];
    return {
      command: ['nsenter', `--net=${namespaceFile}`, '--'],
      kubeconfig: join(this.#layout.pki, 'admin.kubeconfig'),
    };
  }

  down(): Promise<void> {
    return clear(this.name);
  }
}

function pauseArchive(programs: Binaries): string {
  const entry = { type: 'copy' as const, path: 'pause', mode: 0o755, source: programs.pause };
  return writeArchive(cacheFolder, 'pause', [
    { references: [pauseImage], layers: [[entry]], config: { Entrypoint: ['/pause'] } },
  ]);
}

/** A way from this machine's loopback to the API server, for as long as the cluster is there. */
async function openApi(at: Layout, programs: Binaries): Promise<number> {
  const file = join(at.folder, 'api-address');
  const out = openSync(file, 'w');
  const argv = [at.nodes[0].namespaceFile, '127.0.0.1:0', `${addresses.api}:${addresses.apiPort}`];
  spawn(programs.forward, argv, { detached: true, stdio: ['ignore', out, 'ignore'], cwd: '/' }).unref();
  closeSync(out);
  const line = await until('the way to the API server', 5_000, () => /:(\d+)\n/.exec(readFileSync(file, 'utf8')));
  return Number(line[1]);
}

async function create(name: string, count: number, progress: Progress): Promise<Cluster> {
  await install(nodePackages, progress);
  const programs = await binaries(progress);
  const started = Date.now();
  const step = (what: string) => progress(`${((Date.now() - started) / 1000).toFixed(1)} s: ${what}`);
  await clear(name);
  const at = layout(name, count);
  for (const folder of [at.pki, at.log]) mkdirSync(folder, { recursive: true });

  await connect(at);
  const names = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc', 'kubernetes.default.svc.cluster.local'];
  const subjects = [...names, 'localhost', '127.0.0.1', addresses.api, addresses.apiService].join();
  const nodes = at.nodes.map((node) => new Node(at, node, programs));
  await Promise.all([
    run(
      [
        programs.pki,
        `https://${addresses.api}:${addresses.apiPort}`,
        subjects,
        ...at.nodes.map((node) => `${node.name}=${node.address}`),
      ],
      {
        cwd: at.pki,
      },
    ),
    ...nodes.map((node) => node.start()),
  ]);
  const [first] = nodes;
  startApiServer(first, at);
  for (const node of nodes) node.startContainerd();
  const port = await openApi(at, programs);
  const admin = readFileSync(join(at.pki, 'admin.kubeconfig'), 'utf8');
  writeFileSync(
    join(at.folder, 'kubeconfig'),
    admin.replace(/server: \S+?(?=,)/, `server: https://127.0.0.1:${port}`),
    { mode: 0o600 },
  );
  const cluster = new LocalCluster(at, nodes, programs);

  const pause = pauseArchive(programs);
  const api = new ApiProbe(port, at.pki);
  const lost = nodes.map((node) => node.lost);
  const allOf = (steps: Promise<unknown>[]) => Promise.race([...lost, Promise.all(steps)]);
  await allOf([
    api.apiReady().then(() => step('the API server answers')),
    ...nodes.map((node) => node.containerdReady().then(() => node.importImages(pause))),
  ]);
  startControllers(first, at);
  nodes.forEach((node, index) => {
    node.startKubelet(`local-${'abcdefgh'[index % 8]}`);
  });
  await cluster.kubectl(['apply', '-f', '-'], { input: JSON.stringify(systemObjects()) });
  startDns(first, at);
  await allOf([
    ...nodes.map((node) => api.nodeReady(node.layout.name)),
    api.defaultAccountMade(),
    until(
      'CoreDNS',
      30_000,
      async () => (await first.exec(['sh', '-c', `ss -lun | grep -q '${addresses.api}:53 '`])).code === 0,
    ),
  ]);
  const record: ClusterRecord = { nodes: count };
  writeFileSync(join(at.folder, 'cluster.json'), JSON.stringify(record));
  step(`${count} node${count === 1 ? '' : 's'} ready`);
  return cluster;
}

async function available(): Promise<Availability> {
  if (process.platform !== 'linux') return { ok: false, why: 'needs Linux' };
  if (process.getuid?.() !== 0) return { ok: false, why: 'needs root, for network namespaces and mounts' };
  const reasons = [await obstacle(nodePackages), await buildObstacle()].filter((reason) => reason !== null);
  if (reasons.length > 0) return { ok: false, why: reasons.join('; ') };
  const namespace = await attempt(['unshare', '--net', '--mount', '--pid', '--uts', '--fork', 'true']);
  if (namespace.code !== 0) return { ok: false, why: `namespaces cannot be made: ${namespace.stderr.trim()}` };
  return { ok: true, why: 'root on Linux' };
}

async function attach(name: string): Promise<Cluster | null> {
  const file = join(clusterFolder(name), 'cluster.json');
  if (!existsSync(file)) return null;
  const { nodes: count }: ClusterRecord = JSON.parse(readFileSync(file, 'utf8'));
  const at = layout(name, count);
  if (!existsSync(at.nodes[0].namespaceFile)) return null;
  const programs = await binaries(() => {});
  return new LocalCluster(
    at,
    at.nodes.map((node) => new Node(at, node, programs)),
    programs,
  );
}

/** Real Kubernetes programs, built from their Go modules, in network namespaces of this machine that have no way out. */
export const localProvider: Provider = {
  name: 'local',
  packages: nodePackages,
  available,
  create: (name, { nodes, progress }) => create(name, nodes, progress),
  attach,
  remove: clear,
};
