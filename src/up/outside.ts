/**
 * The half of `lateen up` that stays in the user's own namespaces: it makes a set of namespaces for the mesh where it may, hands the
 * terminal to what runs inside, and lends the ingress gateway a port on loopback. When it ends, all the rest does.
 */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';

/** After that the kernel is asked to end everything. */
const stopWithinMs = 10_000;

const needed = ['unshare', 'nsenter', 'ip', 'iptables-restore', 'mount'];

const ownNamespaces = [
  ...['unshare', '--net', '--mount', '--pid', '--fork', '--kill-child'],
  ...['--mount-proc', '--propagation', 'private'],
];

/** One of everything that pods will need, in namespaces that end with it. */
const trial = `
ip link add br0 type bridge
ip link add eth0 type veth peer name eth1
printf '*nat\\n-A OUTPUT -p tcp -j REDIRECT --to-ports 15001\\nCOMMIT\\n' | iptables-restore
mount -t tmpfs tmpfs /run
mkdir /run/etc /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work /etc
nsenter -t $$ -n --setuid 1337 --setgid 1337 true
`;
const trialWithinMs = 5_000;

/** What is missing for namespaces and real iptables, or null when nothing is: root in a container may lack the right to either. */
export function lacking(path = process.env.PATH ?? ''): string | null {
  if (process.platform !== 'linux') return `network namespaces need Linux; this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'network namespaces and iptables need root';
  const folders = [...path.split(delimiter), '/usr/sbin', '/sbin'];
  const missing = needed.filter((name) => !folders.some((folder) => isExecutable(join(folder, name))));
  if (missing.length > 0)
    return `these commands are missing: ${missing.join(', ')} (Debian: iproute2, iptables, util-linux)`;
  const [program, ...words] = [...ownNamespaces, 'sh', '-euc', trial];
  const { status, stderr, error } = spawnSync(program, words, {
    env: { ...process.env, PATH: folders.join(delimiter) },
    encoding: 'utf8',
    timeout: trialWithinMs,
  });
  if (status === 0) return null;
  const [why] = (error?.message ?? stderr).trim().split('\n');
  return `network namespaces with iptables are not to be had here (${why})`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

export interface OutsideOptions {
  /** Arguments for the inner run, besides the folder that it works in. */
  args: string[];
  /** Why pods live on loopback addresses; null when they get namespaces. */
  loopback: string | null;
  /** 0 takes any free port. */
  port: number;
  signal: AbortSignal;
}

/** Runs the mesh until it ends; returns its exit code. */
export async function runMesh({ args, loopback, port, signal }: OutsideOptions): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'lateen-up-'));
  const socket = join(folder, 'ingress.sock');
  const server = await lend(port, socket);
  try {
    const address = server.address() as AddressInfo;
    const [program, ...words] = [
      ...(loopback === null ? ownNamespaces : []),
      ...[process.execPath, ...process.execArgv, join(import.meta.dirname, 'inside.ts')],
      ...(loopback === null ? [] : ['--loopback', loopback]),
      ...[folder, String(address.port), ...args],
    ];
    const child = spawn(program, words, {
      // Its standard input is the life line: when this process ends, however it ends, the inside sees it close.
      stdio: ['pipe', 'inherit', 'inherit'],
      env: { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` },
    });
    const stop = () => {
      child.stdin?.end();
      setTimeout(() => child.kill('SIGKILL'), stopWithinMs).unref();
    };
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    return await new Promise<number>((resolve, reject) => {
      child.on('error', reject);
      child.on('exit', (code) => resolve(code ?? 1));
    });
  } finally {
    server.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** Lends a Unix socket, which crosses network namespaces, a port on loopback. */
function lend(port: number, socket: string): Promise<Server> {
  const server = createServer((client) => {
    const upstream = connect(socket);
    const end = () => {
      client.destroy();
      upstream.destroy();
    };
    client.on('error', end).on('close', end);
    upstream.on('error', end).on('close', end);
    client.pipe(upstream).pipe(client);
  });
  server.maxConnections = 256;
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE'
          ? new Error(`port ${port} of 127.0.0.1 is taken; choose another with --port`)
          : error,
      ),
    );
    server.listen(port, '127.0.0.1', () => resolve(server));
  });
}
