/**
 * The addresses of a mesh without namespaces, in one block 127.B.0.0/16 of the loopback network. Pod P has 127.B.P.0/24:
 *
 *     127.B.0.1  control plane      127.B.P.1  the pod: its proxy takes what others send
 *                                   127.B.P.2  its application
 *                                   127.B.P.S  service S, as this pod calls it: its proxy takes what the application sends
 */
import type { Manifest, Plan, PlannedPod } from './plan.ts';

/** Ports below 1024 may need privileges: an application that calls one of a service arrives at a shifted one. */
export const lowPorts = { below: 1024, shift: 30_000 };

const firstService = 3;
const lastService = 254;
const maxPods = 254;

export interface Address {
  ip: string;
  port: number;
}

/** What the proxy reads instead of having iptables (src/proxy/net/interception.ts). */
export interface Interception {
  host: string;
  application: string;
  inbound: Array<{ at: Address; destination: Address }>;
  outbound: Array<{ at: Address; destination: Address }>;
}

export interface PodAddresses {
  interception: Interception;
  /** By `name.namespace`. */
  services: Map<string, string>;
}

/** @param block 1 to 254 */
export function controlAddressIn(block: number): string {
  return `127.${block}.0.1`;
}

export function podAddressIn(block: number, index: number): string {
  if (!Number.isInteger(index) || index < 1 || index > maxPods)
    throw new Error(
      `pod ${index}: loopback addresses are enough for ${maxPods} pods; namespaces, as root, have no such limit`,
    );
  return `127.${block}.${index}.1`;
}

export function podAddresses({ index, ip, pod }: PlannedPod, plan: Plan): PodAddresses {
  const block = Number(ip.split('.')[1]);
  const services = new Map<string, string>();
  const outbound: Interception['outbound'] = [];
  let next = firstService;
  for (const service of plan.manifests.filter(({ kind }) => kind === 'Service')) {
    const name = `${service.metadata.name}.${service.metadata.namespace}`;
    const virtual = plan.addresses.get(name);
    if (virtual === undefined) continue;
    if (next > lastService)
      throw new Error(`service ${name}: loopback addresses are enough for ${lastService - firstService + 1} services`);
    const own = `127.${block}.${index}.${next++}`;
    services.set(name, own);
    for (const { port, protocol } of (service.spec.ports ?? []) as Array<{ port: number; protocol?: string }>)
      if (protocol === undefined || protocol === 'TCP')
        outbound.push({
          at: { ip: own, port: port < lowPorts.below ? port + lowPorts.shift : port },
          destination: { ip: virtual, port },
        });
  }
  return {
    services,
    interception: {
      host: ip,
      application: hasProxy(pod) ? `127.${block}.${index}.2` : ip,
      inbound: listeningPorts(pod, ip, plan).map((port) => ({ at: { ip, port }, destination: { ip, port } })),
      outbound,
    },
  };
}

function containersOf(
  pod: Manifest,
): Array<{ name: string; ports?: Array<{ containerPort: number; protocol?: string }> }> {
  return [...(pod.spec.initContainers ?? []), ...pod.spec.containers];
}

function hasProxy(pod: Manifest): boolean {
  return containersOf(pod).some(({ name }) => name === 'istio-proxy');
}

/** Ports that a pod's containers declare and services send to. */
function listeningPorts(pod: Manifest, ip: string, plan: Plan): number[] {
  const ports = new Set<number>();
  for (const container of containersOf(pod))
    if (container.name !== 'istio-proxy')
      for (const { containerPort, protocol } of container.ports ?? [])
        if (protocol === undefined || protocol === 'TCP') ports.add(containerPort);
  for (const slice of plan.manifests.filter(({ kind }) => kind === 'EndpointSlice')) {
    const endpoints = slice.endpoints as Array<{ addresses: string[] }>;
    if (!endpoints.some(({ addresses }) => addresses.includes(ip))) continue;
    for (const { port, protocol } of slice.ports as Array<{ port: number; protocol: string }>)
      if (protocol === 'TCP') ports.add(port);
  }
  return [...ports].sort((a, b) => a - b);
}
