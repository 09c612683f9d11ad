/**
 * A pod without a container runtime: a network, mount and UTS namespace held open by one process, joined to a bridge
 * in the namespace that `lateen up` made for itself. Nothing reaches beyond that bridge, and everything ends with
 * the process that holds it.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { Ground, Sandbox } from './ground.ts';

const execute = promisify(execFile);

const bridgeAddress = '10.77.0.1';
const prefixBits = 16;

/** Runs a command to its end; throws with the command line and what it wrote to standard error. */
async function command(name: string, args: string[]): Promise<string> {
  try {
    return (await execute(name, args, { timeout: 10_000 })).stdout;
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new Error(`${name} ${args.join(' ')}: ${stderr?.trim() || message}`);
  }
}

/** To be called once, in a fresh network namespace. */
export async function createNamespaces(folder: string): Promise<Ground> {
  await createBridge();
  return {
    description: 'in network namespaces of its own, with iptables',
    controlAddress: bridgeAddress,
    podAddress,
    hostAddresses: ({ ip }, { addresses }) => ({
      localhost: '127.0.0.1',
      pod: ip,
      controlPlane: bridgeAddress,
      services: addresses,
    }),
    async prepare() {},
    createSandbox: ({ pod, index }, _plan, files) => createSandbox(folder, pod.metadata.name, index, files),
    // The process that asked for the namespaces is the first in them: with it the kernel ends all others.
    async close() {},
  };
}

/** The switch that all pods hang on. */
async function createBridge(): Promise<void> {
  await command('ip', ['link', 'set', 'lo', 'up']);
  await command('ip', ['link', 'add', 'br0', 'type', 'bridge', 'forward_delay', '0']);
  await command('ip', ['addr', 'add', `${bridgeAddress}/${prefixBits}`, 'dev', 'br0']);
  await command('ip', ['link', 'set', 'br0', 'up']);
}

/**
 * What a pod's mount namespace shows: a /run of its own, and the given files over the machine's /etc and /run.
 * The overlay keeps the machine's own /etc untouched.
 */
const prepare = `
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/etc /run/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc,workdir=/run/work /etc
cp -R "$1"/. /
hostname "$2"
echo ready
exec sleep infinity
`;

/**
 * @param index 1 to 65,000: gives the address 10.77.x.y.
 * @param files absolute path in the pod → content; only below /etc and /run.
 */
async function createSandbox(
  folder: string,
  name: string,
  index: number,
  files: Record<string, string>,
): Promise<Sandbox> {
  const ip = podAddress(index);
  const root = join(folder, name);
  await mkdir(root, { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content, { mode: 0o644 });
  }
  const holder = spawn('unshare', ['--net', '--mount', '--uts', 'sh', '-euc', prepare, 'sandbox', root, name], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  await ready(holder, name);
  const link = `pod${index}`;
  const inside = ['-t', String(holder.pid), '-n'];
  await command('ip', ['link', 'add', link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(holder.pid)]);
  await command('ip', ['link', 'set', link, 'master', 'br0', 'up']);
  await command('nsenter', [...inside, 'ip', 'link', 'set', 'lo', 'up']);
  await command('nsenter', [...inside, 'ip', 'addr', 'add', `${ip}/${prefixBits}`, 'dev', 'eth0']);
  await command('nsenter', [...inside, 'ip', 'link', 'set', 'eth0', 'up']);
  await command('nsenter', [...inside, 'ip', 'route', 'add', 'default', 'via', bridgeAddress]);
  return {
    name,
    ip,
    intercepts: false,
    start(argv, { user, env, directory }) {
      const enter = ['-t', String(holder.pid), '-n', '-m', '-u', `--wd=${directory ?? '/'}`];
      if (user !== 0) enter.push('--setuid', String(user), '--setgid', String(user));
      return spawn('nsenter', [...enter, '--', ...argv], { env, stdio: ['pipe', 'pipe', 'pipe'] });
    },
  };
}

function podAddress(index: number): string {
  if (!Number.isInteger(index) || index < 1 || index > 65_000)
    throw new Error(`pod ${index}: the bridge has room for 65,000 pods`);
  const host = index + 1;
  return `10.77.${host >> 8}.${host & 255}`;
}

function ready(holder: ChildProcess, name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = '';
    let complaint = '';
    holder.stderr?.on('data', (chunk) => {
      if (complaint.length < 4096) complaint += chunk;
    });
    holder.stdout?.on('data', (chunk) => {
      said += chunk;
      if (said.includes('ready')) resolve();
    });
    holder.on('error', reject);
    holder.on('exit', (code) =>
      reject(new Error(`the namespaces of pod ${name} were not made (exit ${code}): ${complaint.trim()}`)),
    );
  });
}
