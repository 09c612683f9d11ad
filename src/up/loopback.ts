/**
 * Pods side by side on loopback addresses, for users without root: the same control plane, proxies and programs; a table takes the place
 * of iptables (src/proxy/net/interception.ts) and a module in each Node process that of namespaces (loopback-process.ts).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { Ground, Sandbox } from './ground.ts';
import { controlAddressIn, podAddresses, podAddressIn } from './loopback-addresses.ts';
import type { Plan } from './plan.ts';

/** Held while the mesh lives: whoever has it has the block, and each process of a pod ends when its connection to it does. */
const holderPort = 15_099;
/** What the control plane and every proxy listen on besides the ports of applications. */
const fixedPorts = [15_000, 15_012, 15_014, 15_020, 15_021, 15_090];
const firstBlock = 16;
const blocks = 224;
const maxAttempts = 32;
const endWithinMs = 5_000;

/** @param why what keeps the machine from namespaces */
export async function createLoopback(folder: string, why: string): Promise<Ground> {
  const { block, holder } = await claimBlock();
  const children = new Set<ChildProcess>();
  let closed = false;
  const controlAddress = controlAddressIn(block);
  try {
    for (const port of fixedPorts) await requireFree(controlAddress, port);
  } catch (error) {
    holder.close();
    throw error;
  }
  return {
    description: `on loopback addresses 127.${block}.0.0/16 instead of network namespaces and iptables: ${why}`,
    controlAddress,
    podAddress: (index) => podAddressIn(block, index),
    hostAddresses(pod, plan) {
      const { interception, services } = podAddresses(pod, plan);
      return { localhost: interception.application, pod: pod.ip, controlPlane: controlAddress, services };
    },
    async prepare(plan) {
      for (const port of portsOf(plan)) await requireFree(controlAddress, port);
    },
    async createSandbox(planned, plan, files) {
      const { name } = planned.pod.metadata;
      const root = join(folder, name);
      const { interception } = podAddresses(planned, plan);
      const all = { ...files, '/etc/lateen/interception.json': JSON.stringify(interception) };
      for (const [path, content] of Object.entries(all)) {
        await mkdir(dirname(join(root, path)), { recursive: true });
        await writeFile(join(root, path), content, { mode: 0o600 });
      }
      await mkdir(join(root, 'var'));
      await symlink('../run', join(root, 'var/run'));
      const shared = {
        NODE_OPTIONS: `--import=${pathToFileURL(join(import.meta.dirname, 'loopback-process.ts'))}`,
        LATEEN_POD_ROOT: root,
        LATEEN_UP_HOLDER: `${controlAddress}:${holderPort}`,
      };
      const sandbox: Sandbox = {
        name,
        ip: planned.ip,
        intercepts: true,
        start([program, ...args], { env, directory }) {
          if (closed) throw new Error(`pod ${name}: the mesh is ending`);
          // A program that is called "node" is the Node of this process: it can load the module.
          const PATH = [dirname(process.execPath), env.PATH].join(delimiter);
          const child = spawn(program, args, {
            cwd: directory ?? root,
            env: { ...env, PATH, ...shared },
            stdio: ['pipe', 'pipe', 'pipe'],
          });
          children.add(child);
          child.once('close', () => children.delete(child));
          return child;
        },
      };
      return sandbox;
    },
    async close() {
      closed = true;
      holder.close();
      const ended = Promise.all([...children].map((child) => once(child, 'close')));
      for (const child of children) child.kill('SIGKILL');
      await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, endWithinMs))]);
    },
  };
}

/** A block of addresses that no other mesh on this machine uses, until the holder is closed. */
async function claimBlock(): Promise<{ block: number; holder: Server }> {
  const start = Math.floor(Math.random() * blocks);
  for (let i = 0; i < maxAttempts; i++) {
    const block = firstBlock + ((start + i) % blocks);
    const holder = await listenAt(controlAddressIn(block), holderPort).catch(taken);
    if (holder) return { block, holder };
  }
  throw takenEverywhere(holderPort);
}

function taken(error: NodeJS.ErrnoException): null {
  if (error.code === 'EADDRINUSE') return null;
  throw error;
}

function takenEverywhere(port: number): Error {
  return new Error(
    `port ${port} is taken on every address of this machine: end the program that listens on it, or run as root and without --loopback, where pods have ports of their own`,
  );
}

/** The block is this mesh's own, so whoever has a port of it has that port on every address. */
async function requireFree(address: string, port: number): Promise<void> {
  const server = await listenAt(address, port).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EADDRINUSE') throw takenEverywhere(port);
    if (error.code === 'EACCES')
      throw new Error(`port ${port} of a pod needs root; give it a containerPort and targetPort of 1024 or more`);
    throw error;
  });
  if (server) await new Promise((resolve) => server.close(resolve));
}

function listenAt(host: string, port: number): Promise<Server> {
  // Connections are kept and never read: their end is all that they tell.
  const server = createServer((socket) => socket.on('error', () => {}).resume());
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port, exclusive: true }, () => resolve(server));
  });
}

function portsOf(plan: Plan): Set<number> {
  const captured = plan.pods.flatMap((pod) => {
    const { inbound, outbound } = podAddresses(pod, plan).interception;
    return [...inbound, ...outbound];
  });
  return new Set(captured.map(({ at }) => at.port).filter((port) => !fixedPorts.includes(port)));
}
