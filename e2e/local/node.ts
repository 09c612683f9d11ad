import { spawn } from 'node:child_process';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { attempt, type CommandOptions, type CommandResult } from '../cluster/command.ts';
import type { Binaries } from './binaries.ts';
import { makeCgroup } from './cgroups.ts';
import { addresses, type Layout, type NodeLayout, pauseImage } from './layout.ts';
import { until } from './until.ts';

/** Kernel settings of the whole machine that the kubelet would write: the node is shown files that hold the values already. */
const machineSettings: Record<string, string> = {
  'vm/overcommit_memory': '1',
  'vm/panic_on_oom': '0',
  'kernel/panic': '10',
  'kernel/panic_on_oops': '1',
  'kernel/keys/root_maxkeys': '1000000',
  'kernel/keys/root_maxbytes': '25000000',
};

/** Folders below which a node keeps its state, each bound to a folder of the cluster's. */
const stateFolders = [
  '/var/lib/containerd',
  '/var/lib/kubelet',
  '/var/lib/cni',
  '/var/log/pods',
  '/var/log/containers',
];

function initScript(node: NodeLayout, binaries: Binaries): string {
  const settings = Object.entries(machineSettings).flatMap(([key, value]) => {
    const stand = `/run/settings/${key.replaceAll('/', '.')}`;
    return [`echo ${value} >${stand}`, `[ ! -e /proc/sys/${key} ] || mount --bind ${stand} /proc/sys/${key}`];
  });
  const state = stateFolders.flatMap((folder) => {
    const own = join(node.folder, folder.slice(1).replaceAll('/', '-'));
    return [`mkdir -p ${folder} '${own}'`, `mount --bind '${own}' ${folder}`];
  });
  return [
    'set -eu',
    'mount --make-rshared /',
    'mount -t tmpfs -o mode=755 tmpfs /run',
    'mkdir -p /run/cni /run/netns /run/lock /run/settings',
    `cp '${node.folder}/cni.conflist' /run/cni/10-bridge.conflist`,
    ...state,
    'mount --make-rshared /var/lib/kubelet',
    // No name server: nothing of a node's own resolves, and nothing is sent.
    ': >/run/resolv.conf',
    'mount --bind /run/resolv.conf /etc/resolv.conf',
    ...settings,
    `hostname ${node.name}`,
    'echo 1 >/proc/sys/net/ipv4/ip_forward',
    'for f in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do [ ! -e $f ] || echo 1 >$f; done',
    `: >'${node.folder}/ready'`,
    `exec '${binaries.pause}'`,
    '',
  ].join('\n');
}

function containerdConfig(): string {
  const unused = [
    'snapshotter.v1.btrfs',
    'snapshotter.v1.zfs',
    'snapshotter.v1.aufs',
    'snapshotter.v1.devmapper',
    'internal.v1.opt',
  ];
  return [
    'version = 2',
    `disabled_plugins = [${unused.map((name) => `"io.containerd.${name}"`).join(', ')}]`,
    '[plugins."io.containerd.grpc.v1.cri"]',
    `  sandbox_image = "${pauseImage}"`,
    // Without CAP_SYS_RESOURCE nobody may lower a score.
    '  restrict_oom_score_adj = true',
    '  [plugins."io.containerd.grpc.v1.cri".cni]',
    '    bin_dir = "/usr/lib/cni"',
    '    conf_dir = "/run/cni"',
    '',
  ].join('\n');
}

function cniConfig(node: NodeLayout): object {
  const ipam = { type: 'host-local', ranges: [[{ subnet: node.podRange }]], routes: [{ dst: '0.0.0.0/0' }] };
  return {
    cniVersion: '0.4.0',
    name: 'pods',
    plugins: [
      { type: 'bridge', bridge: 'cni0', isGateway: true, hairpinMode: true, ipMasq: false, ipam },
      { type: 'portmap', capabilities: { portMappings: true } },
    ],
  };
}

/** KubeletConfiguration v1beta1; JSON is YAML. */
function kubeletConfig(node: NodeLayout, pki: string): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    address: node.address,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: join(pki, 'ca.crt') },
    },
    authorization: { mode: 'Webhook' },
    tlsCertFile: join(pki, `kubelet-${node.name}.crt`),
    tlsPrivateKeyFile: join(pki, `kubelet-${node.name}.key`),
    containerRuntimeEndpoint: 'unix:///run/containerd/containerd.sock',
    volumePluginDir: '/var/lib/kubelet/volume-plugins',
    cgroupDriver: 'cgroupfs',
    cgroupRoot: `/${node.cgroup}`,
    failCgroupV1: false,
    failSwapOn: false,
    clusterDomain: 'cluster.local',
    clusterDNS: [addresses.dns],
    resolvConf: '/run/resolv.conf',
    oomScoreAdj: 0,
    maxOpenFiles: 16000,
    nodeStatusUpdateFrequency: '5s',
    syncFrequency: '10s',
    kubeAPIQPS: 200,
    kubeAPIBurst: 400,
    // A full disk of the machine must not cost images that no registry can bring back.
    imageGCHighThresholdPercent: 100,
    evictionHard: {
      'memory.available': '100Mi',
      'nodefs.available': '0%',
      'nodefs.inodesFree': '0%',
      'imagefs.available': '0%',
    },
  };
}

function proxyConfig(node: NodeLayout, pki: string): object {
  return {
    apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
    kind: 'KubeProxyConfiguration',
    mode: 'iptables',
    clientConnection: { kubeconfig: join(pki, 'kube-proxy.kubeconfig') },
    clusterCIDR: addresses.pods,
    hostnameOverride: node.name,
    oomScoreAdj: 0,
    iptables: { minSyncPeriod: '0s' },
    // The table's size belongs to the machine and cannot be set from a namespace.
    conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
  };
}

/**
 * One node: a mount, PID, UTS and network namespace whose process 1 is `pause`. When that ends the kernel ends
 * containerd, the kubelet and every pod, and drops every mount.
 */
export class Node {
  readonly layout: NodeLayout;
  readonly #cluster: Layout;
  readonly #binaries: Binaries;
  readonly #loss = Promise.withResolvers<never>();

  constructor(cluster: Layout, layout: NodeLayout, binaries: Binaries) {
    this.layout = layout;
    this.#cluster = cluster;
    this.#binaries = binaries;
    this.#loss.promise.catch(() => {});
  }

  /** Rejects when one of the programs that this process started in the node ends, with the end of its log. */
  get lost(): Promise<never> {
    return this.#loss.promise;
  }

  get #initFile(): string {
    return join(this.layout.folder, 'init.pid');
  }

  /** Makes the namespaces. The network namespace must be there. */
  async start(): Promise<void> {
    const { folder, namespaceFile, cgroup } = this.layout;
    mkdirSync(folder, { recursive: true });
    makeCgroup(cgroup);
    const write = (name: string, content: object | string) =>
      writeFileSync(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content, null, 1));
    write('init.sh', initScript(this.layout, this.#binaries));
    write('containerd.toml', containerdConfig());
    write('cni.conflist', cniConfig(this.layout));
    write('kubelet.yaml', kubeletConfig(this.layout, this.#cluster.pki));
    write('kube-proxy.yaml', proxyConfig(this.layout, this.#cluster.pki));

    const isolate = [
      'unshare',
      '--mount',
      '--propagation=private',
      '--uts',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
    ];
    const pid = this.#detach('init', ['nsenter', `--net=${namespaceFile}`, ...isolate, 'sh', join(folder, 'init.sh')]);
    await Promise.race([this.lost, until(`node ${this.layout.name}`, 10_000, () => existsSync(join(folder, 'ready')))]);
    const [init] = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    writeFileSync(this.#initFile, init);
  }

  /** The argv that runs a command in all of the node's namespaces; the command's paths must be absolute or on the PATH. */
  inside(argv: string[]): string[] {
    const init = readFileSync(this.#initFile, 'utf8');
    return ['nsenter', '--target', init, '--mount', '--root', '--uts', '--net', '--pid', '--', ...argv];
  }

  exec(argv: string[], options?: CommandOptions): Promise<CommandResult> {
    return attempt(this.inside(argv), options);
  }

  /** Starts a long-running program in the node. It outlives this process; its output is in `log/PROGRAM-NODE.log`. */
  run(program: string, argv: string[]): void {
    this.#detach(program, this.inside(argv));
  }

  runKube(program: string, args: string[]): void {
    this.run(program, [this.#binaries.kube, program, ...args]);
  }

  startContainerd(): void {
    this.run('containerd', ['containerd', '--config', join(this.layout.folder, 'containerd.toml')]);
  }

  async containerdReady(): Promise<void> {
    await until(
      `containerd on ${this.layout.name}`,
      20_000,
      async () => (await this.exec(['ctr', 'version'])).code === 0,
    );
  }

  async importImages(archive: string): Promise<void> {
    const result = await this.exec(['ctr', '-n', 'k8s.io', 'images', 'import', archive], { timeoutMs: 300_000 });
    if (result.code !== 0)
      throw new Error(`${archive}: cannot be imported on ${this.layout.name}: ${result.stderr.trim()}`);
  }

  startKubelet(zone: string): void {
    const labels = ['topology.kubernetes.io/region=local', `topology.kubernetes.io/zone=${zone}`];
    const { folder, name, address } = this.layout;
    this.runKube('kube-proxy', [`--config=${join(folder, 'kube-proxy.yaml')}`]);
    this.runKube('kubelet', [
      `--config=${join(folder, 'kubelet.yaml')}`,
      `--kubeconfig=${join(this.#cluster.pki, `kubelet-${name}.kubeconfig`)}`,
      `--hostname-override=${name}`,
      `--node-ip=${address}`,
      `--node-labels=${labels.join(',')}`,
    ]);
  }

  #detach(program: string, argv: string[]): number {
    const log = openSync(join(this.#cluster.log, `${program}-${this.layout.name}.log`), 'a');
    // Started from /: whatever folder the tests run in may go away while the cluster is kept.
    const child = spawn(argv[0], argv.slice(1), { detached: true, stdio: ['ignore', log, log], cwd: '/' });
    closeSync(log);
    child.on('error', (error) => this.#loss.reject(error));
    child.on('exit', (code) => {
      const said = readFileSync(join(this.#cluster.log, `${program}-${this.layout.name}.log`), 'utf8');
      const end = said.trim().slice(-2000);
      this.#loss.reject(new Error(`node ${this.layout.name}: ${program} ended with ${code}: ${end}`));
    });
    child.unref();
    if (child.pid === undefined) throw new Error(`${argv[0]}: cannot be started`);
    return child.pid;
  }
}
