/** Takes an earlier injection back, so that injecting again starts from what the user wrote. */
import type { ObjectMeta } from '../api/meta.ts';
import {
  type Container,
  InjectionError,
  type Pod,
  type PodSpec,
  type Probe,
  type ProbeHandler,
  readPod,
} from './pod.ts';
import { type AppProbers, agentPaths } from './probes.ts';
import type { ScrapeTarget } from './prometheus.ts';

export const statusAnnotation = 'sidecar.istio.io/status';
export const overridesAnnotation = 'proxy.istio.io/overrides';

/** Annotation `sidecar.istio.io/status`: what an injection added. */
export interface InjectionStatus {
  initContainers: string[] | null;
  containers: string[] | null;
  volumes: string[] | null;
  imagePullSecrets: string[] | null;
  revision: string;
}

/** Annotation `proxy.istio.io/overrides`: the user's own fields of containers that the template has too. */
export interface Overrides {
  containers?: Container[];
  initContainers?: Container[];
}

/** A pod that was never injected comes back as it is. */
export function withoutInjection(pod: Pod): Pod {
  const annotations = { ...pod.metadata?.annotations };
  const status = readStatus(annotations[statusAnnotation]);
  if (!status) return pod;
  const overrides = readOverrides(annotations[overridesAnnotation]);
  delete annotations[statusAnnotation];
  delete annotations[overridesAnnotation];

  const proxy = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].find(({ name }) => name === 'istio-proxy');
  const told = (name: string) => proxy?.env?.find((variable) => variable.name === name)?.value;
  restoreScrape(annotations, parseJson<ScrapeTarget>(told('ISTIO_PROMETHEUS_ANNOTATIONS')));
  const probers = parseJson<AppProbers>(told('ISTIO_KUBE_APP_PROBERS')) ?? {};

  const spec: PodSpec = {
    ...pod.spec,
    containers: restore(pod.spec.containers, status.containers, overrides.containers, probers),
  };
  if (spec.initContainers)
    spec.initContainers = restore(spec.initContainers, status.initContainers, overrides.initContainers, probers);
  if (spec.volumes) spec.volumes = spec.volumes.filter(({ name }) => !status.volumes?.includes(name));
  for (const list of ['initContainers', 'volumes'] as const) if (spec[list]?.length === 0) delete spec[list];
  const metadata: ObjectMeta = { ...pod.metadata, annotations };
  return { ...pod, metadata, spec };
}

export function readStatus(text: string | undefined): InjectionStatus | null {
  const status = parseJson<Partial<InjectionStatus>>(text);
  if (!status) return null;
  const names = (value: unknown) =>
    Array.isArray(value) ? value.filter((name): name is string => typeof name === 'string') : null;
  return {
    initContainers: names(status.initContainers),
    containers: names(status.containers),
    volumes: names(status.volumes),
    imagePullSecrets: names(status.imagePullSecrets),
    revision: String(status.revision ?? ''),
  };
}

function readOverrides(text: string | undefined): Overrides {
  if (text === undefined) return {};
  const overrides = parseJson<Overrides>(text);
  if (!overrides) throw new InjectionError(`annotation ${overridesAnnotation} must be a JSON mapping`);
  const { containers, initContainers } = readPod(
    { spec: { containers: overrides.containers ?? [], initContainers: overrides.initContainers ?? [] } },
    `annotation ${overridesAnnotation}`,
  ).spec;
  return { containers, initContainers };
}

function restore(
  containers: Container[],
  injected: string[] | null,
  overrides: Container[] | undefined,
  probers: AppProbers,
): Container[] {
  return containers.flatMap((container) => {
    if (!injected?.includes(container.name)) return [restoreProbes(container, probers)];
    const own = overrides?.find(({ name }) => name === container.name);
    return own ? [own] : [];
  });
}

function restoreProbes(container: Container, probers: AppProbers): Container {
  const restored = { ...container };
  const { probes, hooks } = agentPaths(container.name);
  const original = <P extends ProbeHandler>(handler: P | undefined, path: string): P | undefined => {
    const { httpGet } = handler ?? {};
    if (!handler || httpGet?.path !== path || typeof httpGet.port !== 'number' || !Object.hasOwn(probers, path))
      return handler;
    const { httpGet: _agent, ...rest } = handler;
    const { timeoutSeconds: _timeout, ...asked } = probers[path];
    return { ...rest, ...asked } as unknown as P;
  };
  for (const [field, path] of probes) {
    const probe = original<Probe>(container[field], path);
    if (probe) restored[field] = probe;
  }
  if (container.lifecycle) {
    restored.lifecycle = { ...container.lifecycle };
    for (const [field, path] of hooks) {
      const hook = original<ProbeHandler>(container.lifecycle[field], path);
      if (hook) restored.lifecycle[field] = hook;
    }
  }
  return restored;
}

function restoreScrape(annotations: Record<string, string>, target: ScrapeTarget | null): void {
  if (annotations['prometheus.io/path'] !== '/stats/prometheus' || annotations['prometheus.io/scrape'] !== 'true')
    return;
  for (const field of ['scrape', 'path', 'port'] as const) {
    delete annotations[`prometheus.io/${field}`];
    const value = target?.[field];
    if (typeof value === 'string' && value !== '') annotations[`prometheus.io/${field}`] = value;
  }
}

function parseJson<T extends object>(text: string | undefined): T | null {
  try {
    const value: unknown = JSON.parse(text ?? 'null');
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as T) : null;
  } catch {
    return null;
  }
}
