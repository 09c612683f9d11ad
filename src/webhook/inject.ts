/** Pod in, pod with a proxy out. Injecting twice gives what injecting once does. */
import type { ObjectMeta } from '../api/meta.ts';
import { type ProxySettings, readSettings } from './annotations.ts';
import type { InjectionConfig } from './config.ts';
import { networkOf } from './environment.ts';
import { mergeObjects } from './merge.ts';
import { applications, type Container, InjectionError, type Pod, type PodSpec } from './pod.ts';
import {
  type InjectionStatus,
  type Overrides,
  overridesAnnotation,
  statusAnnotation,
  withoutInjection,
} from './previous.ts';
import { rewriteProbes } from './probes.ts';
import { mergeScrape } from './prometheus.ts';
import { gatewayTemplate, type PartialPod, sidecarTemplate, type TemplateFacts } from './template.ts';
import { type Workload, workloadOf } from './workload.ts';

export interface InjectionRequest {
  /** As `readPod` returns it. */
  pod: Pod;
  namespace: string;
  /** Told from the pod's owner unless given. */
  workload?: Workload;
  /** From the webhook's path (`environmentOfPath`). */
  environment?: Readonly<Record<string, string>>;
}

const ownTemplates: Readonly<Record<string, (facts: TemplateFacts) => PartialPod>> = {
  sidecar: sidecarTemplate,
  gateway: gatewayTemplate,
};

/** Throws `InjectionError` that names the annotation or field at fault. The given pod is left untouched. */
export function inject(request: InjectionRequest, config: InjectionConfig): Pod {
  const original = withoutInjection(request.pod);
  const annotations = original.metadata?.annotations ?? {};
  const settings = readSettings(annotations, config);
  // A pod needs one container besides its init containers.
  if (applications(original.spec).length === 0) settings.native = false;
  settings.initContainer ||= needsInitContainer(original.spec, settings);
  const facts: TemplateFacts = {
    pod: original,
    namespace: request.namespace,
    workload: request.workload ?? workloadOf(original.metadata ?? {}),
    settings,
    config,
    environment: request.environment ?? {},
  };

  const template = templateNames(annotations, config)
    .map((name) => instantiate(name, facts))
    .reduce((one, other) => mergeObjects(one, other), {});
  const { spec, overrides } = addContainers(original.spec, template);
  const metadata = addMetadata(original.metadata ?? {}, template, facts);
  if (overrides) metadata.annotations[overridesAnnotation] = JSON.stringify(overrides);
  adoptUser(spec, original.spec, settings);

  // A template may turn these off by its own annotations.
  const { mergeMetrics, rewriteProbes: rewriting } = readSettings(metadata.annotations, config);
  const scrape =
    mergeMetrics && settings.statusPort !== 0 && findProxy(spec)
      ? mergeScrape(metadata.annotations, settings.statusPort)
      : null;
  if (scrape) {
    metadata.annotations = scrape.annotations;
    if (scrape.target) tellProxy(spec, 'ISTIO_PROMETHEUS_ANNOTATIONS', scrape.target);
  }
  const rewritten =
    rewriting && settings.statusPort !== 0 && findProxy(spec)
      ? rewriteProbes(spec, settings.statusPort)
      : { spec, probers: {} };
  if (Object.keys(rewritten.probers).length > 0)
    tellProxy(rewritten.spec, 'ISTIO_KUBE_APP_PROBERS', sorted(rewritten.probers));

  metadata.annotations[statusAnnotation] = JSON.stringify(statusOf(template, config));
  Object.assign(metadata.annotations, config.injectedAnnotations);
  return { ...original, metadata, spec: order(rewritten.spec, settings) };
}

/**
 * The proxy's container sets the rules itself only as a native sidecar that begins as root and does not stay it, and whose
 * arguments and user are the template's. Nor where every container is root: the kubelet then hands out the proxy's token to
 * root alone (Kubernetes: "Projected volumes", token ownership).
 */
function needsInitContainer(spec: PodSpec, { native, interceptionMode, bindPrivilegedPorts }: ProxySettings): boolean {
  const all = [...spec.containers, ...(spec.initContainers ?? [])];
  const own = all.find(({ name }) => name === 'istio-proxy');
  const others = all.filter((container) => container !== own);
  const podUser = (spec.securityContext as { runAsUser?: number } | undefined)?.runAsUser;
  return (
    !native ||
    interceptionMode !== 'REDIRECT' ||
    bindPrivilegedPorts ||
    own?.args !== undefined ||
    own?.command !== undefined ||
    own?.securityContext !== undefined ||
    others.some(({ name }) => name === 'istio-init') ||
    others.every(({ securityContext }) => (securityContext?.runAsUser ?? podUser) === 0)
  );
}

function templateNames(annotations: Readonly<Record<string, string>>, config: InjectionConfig): string[] {
  const asked = annotations['inject.istio.io/templates']?.split(',').map((name) => name.trim());
  return (asked ?? config.defaultTemplates).flatMap((name) =>
    Object.hasOwn(config.aliases, name) ? config.aliases[name] : [name],
  );
}

function instantiate(name: string, facts: TemplateFacts): PartialPod {
  const { templates } = facts.config;
  if (Object.hasOwn(templates, name)) return templates[name] as PartialPod;
  if (Object.hasOwn(ownTemplates, name)) return ownTemplates[name](facts);
  const known = [...Object.keys(ownTemplates), ...Object.keys(templates)].join(', ');
  throw new InjectionError(`annotation inject.istio.io/templates: no template is called "${name}"; there are ${known}`);
}

/**
 * The template's containers with the user's fields of the same container on top; image `auto` stands for the template's.
 * A container that the template wants among the init containers moves there.
 */
function addContainers(original: PodSpec, template: PartialPod): { spec: PodSpec; overrides: Overrides | null } {
  const { containers = [], initContainers = [], volumes = [], ...rest } = template.spec ?? {};
  const spec: PodSpec = mergeObjects({ ...original }, rest);
  const overrides: Overrides = {};
  const init = [...(original.initContainers ?? [])];
  const main = [...original.containers];

  const add = (to: Container[], from: Container[], injected: Container, kind: 'containers' | 'initContainers') => {
    const at = from.findIndex(({ name }) => name === injected.name);
    if (at < 0) {
      to.push(structuredClone(injected));
      return;
    }
    const own: Container = { ...from[at] };
    if (own.image === 'auto') {
      delete own.image;
      // The API server's own default for an image without a tag, long before anybody asks us.
      if (own.imagePullPolicy === 'Always') delete own.imagePullPolicy;
    }
    overrides[kind] = [...(overrides[kind] ?? []), own];
    const merged = mergeObjects(injected, own);
    if (from === to) to[at] = merged;
    else {
      from.splice(at, 1);
      to.push(merged);
    }
  };
  for (const injected of containers) add(main, main, injected, 'containers');
  for (const injected of initContainers)
    add(init, init.some(({ name }) => name === injected.name) ? init : main, injected, 'initContainers');

  spec.containers = main;
  if (init.length > 0) spec.initContainers = init;
  const names = new Set(volumes.map(({ name }) => name));
  const allVolumes = [...(original.volumes ?? []).filter(({ name }) => !names.has(name)), ...structuredClone(volumes)];
  if (allVolumes.length > 0) spec.volumes = allVolumes;
  return { spec, overrides: overrides.containers || overrides.initContainers ? overrides : null };
}

function addMetadata(
  original: ObjectMeta,
  template: PartialPod,
  facts: TemplateFacts,
): ObjectMeta & Required<Pick<ObjectMeta, 'annotations'>> {
  const labels = { ...original.labels, ...template.metadata?.labels };
  const network = networkOf(facts);
  if (network) labels['topology.istio.io/network'] = network;
  return { ...original, labels, annotations: { ...original.annotations, ...template.metadata?.annotations } };
}

/** Traffic of the user that the proxy runs as must not be intercepted: a user's `runAsUser` becomes istio-init's `-u`. */
function adoptUser(spec: PodSpec, original: PodSpec, settings: ProxySettings): void {
  const own = findProxy(original)?.securityContext?.runAsUser;
  if (own === undefined) return;
  if (settings.interceptionMode === 'TPROXY') {
    const proxy = findProxy(spec);
    if (proxy?.securityContext) proxy.securityContext.runAsUser = 0;
    return;
  }
  const args = spec.initContainers?.find(({ name }) => name === 'istio-init')?.args;
  const at = args?.indexOf('-u') ?? -1;
  if (args && at >= 0 && own !== 0) args[at + 1] = String(own);
}

function findProxy(spec: PodSpec): Container | undefined {
  return [...spec.containers, ...(spec.initContainers ?? [])].find(({ name }) => name === 'istio-proxy');
}

function tellProxy(spec: PodSpec, name: string, value: object): void {
  const proxy = findProxy(spec);
  if (proxy)
    proxy.env = [
      ...(proxy.env ?? []).filter((variable) => variable.name !== name),
      { name, value: JSON.stringify(value) },
    ];
}

function statusOf(template: PartialPod, config: InjectionConfig): InjectionStatus {
  const names = (list: Array<{ name?: string }> | undefined) =>
    list && list.length > 0 ? list.map(({ name = '' }) => name) : null;
  return {
    initContainers: names(template.spec?.initContainers),
    containers: names(template.spec?.containers),
    volumes: names(template.spec?.volumes),
    imagePullSecrets: names(template.spec?.imagePullSecrets),
    revision: config.revision,
  };
}

/**
 * Native: istio-init, istio-proxy, the user's init containers, which so are in the mesh. Classic: istio-init last, so that
 * the user's init containers reach the network before it is intercepted; the proxy last, so that `kubectl exec` means the
 * application, or first, so that the application waits for it.
 */
function order(spec: PodSpec, settings: ProxySettings): PodSpec {
  const ordered = { ...spec };
  const init = spec.initContainers ?? [];
  if (init.some(({ name }) => name === 'istio-proxy'))
    ordered.initContainers = toEnd(toEnd(init, 'istio-proxy', 'first'), 'istio-init', 'first');
  else if (init.length > 0) ordered.initContainers = toEnd(init, 'istio-init', 'last');
  ordered.containers = toEnd(spec.containers, 'istio-proxy', settings.holdApplication ? 'first' : 'last');
  return ordered;
}

function toEnd(containers: Container[], which: string, end: 'first' | 'last'): Container[] {
  const moved = containers.filter(({ name }) => name === which);
  const rest = containers.filter(({ name }) => name !== which);
  return end === 'first' ? [...moved, ...rest] : [...rest, ...moved];
}

function sorted<T>(record: Record<string, T>): Record<string, T> {
  return Object.fromEntries(Object.entries(record).sort(([one], [other]) => (one < other ? -1 : 1)));
}
