/**
 * Probes and lifecycle hooks that the kubelet would send to the application in plain text go to the agent instead, which
 * asks the application over loopback (Istio: "Health Checking of Istio Services"; pkg/kube/inject/app_probe.go).
 */
import { applications, type Container, type PodSpec, type Probe, type ProbeHandler } from './pod.ts';

/** What the agent is told, by the path that the kubelet asks for: the value of `ISTIO_KUBE_APP_PROBERS`. */
export type AppProbers = Record<string, ProbeHandler & { timeoutSeconds?: number }>;

/** The probes and hooks that may be rewritten, each with the path at which the agent takes its place. */
export function agentPaths(container: string) {
  return {
    probes: [
      ['readinessProbe', `/app-health/${container}/readyz`],
      ['livenessProbe', `/app-health/${container}/livez`],
      ['startupProbe', `/app-health/${container}/startupz`],
    ],
    hooks: [
      ['preStop', `/app-lifecycle/${container}/prestopz`],
      ['postStart', `/app-lifecycle/${container}/poststartz`],
    ],
  } as const;
}

export interface RewrittenProbes {
  spec: PodSpec;
  probers: AppProbers;
}

/** Returns the spec with its HTTP, TCP and gRPC probes pointing at `statusPort`, and what the agent must do for each. */
export function rewriteProbes(spec: PodSpec, statusPort: number): RewrittenProbes {
  const probers: AppProbers = {};
  const rewrite = (containers: Container[]) =>
    containers.map((container) =>
      applications({ containers: [container] }).length === 0
        ? container
        : rewriteContainer(container, statusPort, probers),
    );
  const rewritten: PodSpec = { ...spec, containers: rewrite(spec.containers) };
  if (spec.initContainers) rewritten.initContainers = rewrite(spec.initContainers);
  return { spec: rewritten, probers };
}

function rewriteContainer(container: Container, statusPort: number, probers: AppProbers): Container {
  const rewritten = { ...container };
  const { probes, hooks } = agentPaths(container.name);
  const redirect = <P extends ProbeHandler>(handler: P | undefined, path: string): P | undefined => {
    const told = handler && tell(handler, container, statusPort);
    if (!told) return handler;
    probers[path] = told;
    return pointAt(handler, path, statusPort);
  };
  for (const [field, path] of probes) {
    const probe = redirect<Probe>(container[field], path);
    if (probe) rewritten[field] = probe;
  }
  if (container.lifecycle) {
    rewritten.lifecycle = { ...container.lifecycle };
    for (const [field, path] of hooks) {
      const hook = redirect<ProbeHandler>(container.lifecycle[field], path);
      if (hook) rewritten.lifecycle[field] = hook;
    }
  }
  return rewritten;
}

/** Null for what the kubelet runs itself (exec, sleep), for what already asks the agent, and for a port name that the container lacks. */
function tell(
  { httpGet, tcpSocket, grpc, timeoutSeconds }: Probe,
  container: Container,
  statusPort: number,
): AppProbers[string] | null {
  const timeout = timeoutSeconds ? { timeoutSeconds } : {};
  if (httpGet) {
    const port = resolve(httpGet.port, container);
    return port === null || port === statusPort ? null : { httpGet: { ...httpGet, port }, ...timeout };
  }
  if (tcpSocket) {
    const port = resolve(tcpSocket.port, container);
    return port === null || port === statusPort ? null : { tcpSocket: { ...tcpSocket, port }, ...timeout };
  }
  if (grpc) return { grpc, ...timeout };
  return null;
}

function resolve(port: number | string, container: Container): number | null {
  if (typeof port === 'number') return port;
  if (/^\d+$/.test(port)) return Number(port);
  return container.ports?.find((named) => named.name === port)?.containerPort ?? null;
}

function pointAt<P extends ProbeHandler>(handler: P, path: string, port: number): P {
  const { tcpSocket: _tcp, grpc: _grpc, httpGet, ...rest } = handler;
  const request = { ...httpGet, path, port };
  // The kubelet speaks plain HTTP to the agent, the agent HTTPS to the application.
  if (request.scheme === 'HTTPS') request.scheme = 'HTTP';
  return { ...rest, httpGet: request } as unknown as P;
}
