/**
 * Loaded before the program of each Node process in a pod without namespaces (`node --import`), and stands for them: names come from the
 * pod's own hosts file, "every address" and localhost are the pod's own, others see its IP, and the hostname is the pod's name.
 * The process ends when what started the mesh does.
 */
import dns from 'node:dns';
import { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import net from 'node:net';
import os from 'node:os';
import { lowPorts } from './loopback-addresses.ts';

/** The two variables that a process of a pod without namespaces is given, besides LATEEN_POD_ROOT (src/proxy/agent/environment.ts). */
const { LATEEN_POD_ROOT: root = '', LATEEN_UP_HOLDER: holder = '', HOSTNAME: podName = '' } = process.env;

const names = readHosts(readFileSync(`${root}/etc/hosts`, 'utf8'));
const own = names.get('localhost') ?? '127.0.0.1';
const podIp = names.get(podName);
const everywhere = new Set<unknown>([undefined, null, '', '0.0.0.0', '::', '::1', '127.0.0.1', 'localhost']);

const [holderHost, holderPort] = holder.split(':');
const lifeline = net.connect({ host: holderHost, port: Number(holderPort) });
lifeline.on('error', () => {}).on('close', () => process.exit(1));
lifeline.unref();

os.hostname = () => podName;

const { lookup } = dns;
dns.lookup = ((name: string, ...rest: Parameters<typeof lookup> extends [string, ...infer Rest] ? Rest : never) =>
  lookup(names.get(name) ?? name, ...rest)) as typeof lookup;

const { listen } = net.Server.prototype;
net.Server.prototype.listen = function (this: net.Server, ...given: unknown[]) {
  return Reflect.apply(listen, this, atOwnAddress(given));
} as typeof listen;

const { connect } = net.Socket.prototype;
net.Socket.prototype.connect = function (this: net.Socket, ...given: unknown[]) {
  const place = Array.isArray(given[0]) ? given[0] : given;
  if (typeof place[0] === 'object' && place[0] !== null) place[0] = fromPod(place[0]);
  return Reflect.apply(connect, this, given);
} as typeof connect;

syncBuiltinESMExports();

/** A connection to a loopback address comes from the pod's IP, and goes where the pod's proxy takes it. */
function fromPod(options: { host?: string; port?: number | string; localAddress?: string }): object {
  const { host = '', localAddress = podIp } = options;
  const address = names.get(host) ?? host;
  if (!address.startsWith('127.')) return options;
  const port = Number(options.port);
  const shift = names.has(host) && address !== own && port < lowPorts.below ? lowPorts.shift : 0;
  return { ...options, localAddress, port: port + shift };
}

/** The arguments of `Server.listen`, in any of its forms, with the pod's own address for "every address". */
function atOwnAddress(given: unknown[]): unknown[] {
  const [first, second, ...rest] = given;
  if (typeof first === 'object' && first !== null) {
    const options = first as { port?: unknown; host?: unknown };
    return options.port !== undefined && everywhere.has(options.host)
      ? [{ ...options, host: own }, second, ...rest]
      : given;
  }
  if (typeof first === 'string' && !/^\d+$/.test(first)) return given;
  if (typeof first === 'function') return [0, own, first];
  if (typeof second === 'string') return everywhere.has(second) ? [first, own, ...rest] : given;
  return [first ?? 0, own, ...(second === undefined || second === null ? rest : [second, ...rest])];
}

function readHosts(text: string): Map<string, string> {
  const found = new Map<string, string>();
  for (const line of text.split('\n')) {
    const [address, ...aliases] = line.trim().split(/\s+/);
    for (const alias of aliases) found.set(alias, address);
  }
  return found;
}
