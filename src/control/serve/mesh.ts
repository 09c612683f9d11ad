/**
 * From objects to proxies, without Kubernetes: whatever the source of the objects, this is where they become configuration.
 *
 *   source ─► debounce ─► buildSnapshot ─► push queue ─► scope of each proxy ─► translate (once a scope) ─► session
 */
import { setImmediate } from 'node:timers/promises';
import type { JsonObject } from '@bufbuild/protobuf';
import type { Analyzed, Finding } from '../analyze/finding.ts';
import { adviseOn, analyzeMesh, JustAdmitted } from '../analyze/mesh-analysis.ts';
import { patchProblems } from '../envoy-filter/patch.ts';
import { pluginProblems } from '../envoy-filter/wasm.ts';
import { buildSnapshot, type Snapshot } from '../model/snapshot.ts';
import type { Problem } from '../translate/problem.ts';
import { type Scope, type ProxyNode as ScopeNode, scopeOf } from '../translate/scope.ts';
import { endpointsOf, translate } from '../translate/translate.ts';
import { sees } from '../translate/virtual-hosts.ts';
import { Debounce, type DebounceOptions } from '../watch/debounce.ts';
import type { ChangeScope, ObjectSource } from '../watch/source.ts';
import type { Discovery } from './discovery.ts';
import type { SecretSource } from './gateway-secrets.ts';
import type { Metrics } from './metrics.ts';
import type { ProxyNode } from './proxy-node.ts';
import { encodeResources, type ResourceSet, withEndpoints } from './resources.ts';

export interface MeshOptions {
  source: ObjectSource;
  /** Certificates that gateways may ask for; none without it. */
  secrets?: SecretSource;
  metrics: Metrics;
  debounce?: Omit<DebounceOptions, 'run'>;
  onSnapshot?(snapshot: Snapshot, tookMs: number): void;
  onError(error: Error): void;
}

interface Translated {
  set: ResourceSet;
  problems: readonly Problem[];
}

const secondsBounds = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5];

export class Mesh {
  readonly #options: MeshOptions;
  readonly #debounce: Debounce;
  readonly #snapshotTime;
  readonly #events;
  /** What was translated for the current snapshot, by scope. */
  #translated = new Map<string, Translated>();
  /** Of the snapshot before, until it is asked for anew: what has not changed is then found once, not by every session. */
  #before = new Map<string, Translated>();
  #snapshot: Snapshot | null = null;
  #discovery: Discovery | null = null;
  #searched: { configVersion: number; problems: readonly Problem[] } | null = null;
  readonly #admitted = new JustAdmitted();
  #analyzed: { configVersion: number; pods: object; findings: readonly Finding[] } | null = null;
  readonly #listeners = new Set<() => void>();
  readonly #followers = new Set<() => void>();

  constructor(options: MeshOptions) {
    this.#options = options;
    this.#debounce = new Debounce({ ...options.debounce, run: (changedAtMs) => this.#rebuild(changedAtMs) });
    const { metrics } = options;
    this.#events = metrics.counter('pilot_k8s_cfg_events', 'Changes seen, by what they touch.');
    this.#snapshotTime = metrics.histogram(
      'pilot_push_context_init_seconds',
      'Seconds to build a snapshot.',
      secondsBounds,
    );
  }

  /** Resolves when the first snapshot is there: until then no proxy is answered, so that a restart pushes no empty mesh. */
  async start(discovery: Discovery, signal: AbortSignal): Promise<void> {
    this.#discovery = discovery;
    const { source, secrets } = this.#options;
    let isComplete = false;
    const onChange = (scope: ChangeScope) => {
      this.#events.add({ type: scope });
      if (isComplete) this.#debounce.change(scope);
    };
    signal.addEventListener('abort', () => this.#debounce.stop(), { once: true });
    await source.start(onChange, signal);
    if (signal.aborted) return;
    isComplete = true;
    this.#rebuild(performance.now());
    secrets?.onChange(() => this.#discovery?.push(performance.now()));
  }

  get snapshot(): Snapshot | null {
    return this.#snapshot;
  }

  get isReady(): boolean {
    return this.#snapshot !== null;
  }

  /** What the translations for the proxies that are connected here found. */
  get problems(): Problem[] {
    return distinct([...this.#translated.values()].flatMap(({ problems }) => problems));
  }

  /**
   * What is wrong with the resources, whether or not a proxy that they concern is connected here: translated as well for a
   * workload of each namespace that has any, and for a gateway of each Gateway's selector.
   */
  async findProblems(): Promise<Problem[]> {
    const snapshot = this.#snapshot;
    if (!snapshot) return [];
    if (this.#searched?.configVersion !== snapshot.configVersion) {
      const { filters, plugins } = snapshot.extensions;
      const found = [...patchProblems(filters), ...pluginProblems(plugins)];
      for (const node of typicalNodes(snapshot)) {
        found.push(...translate(snapshot, scopeOf(node, snapshot)).problems);
        await setImmediate();
      }
      this.#searched = { configVersion: snapshot.configVersion, problems: found };
    }
    return distinct([...this.problems, ...this.#searched.problems]);
  }

  /** What would be said of a resource if it were applied now, a sentence each. */
  advise(object: unknown, dryRun: boolean): string[] {
    const snapshot = this.#snapshot;
    if (!snapshot) return [];
    const resource = object as Analyzed;
    const found = adviseOn(resource, this.#options.source.read(), this.#admitted.list(), snapshot.mesh.rootNamespace);
    if (!dryRun) this.#admitted.add(resource);
    return found.map(({ code, path, message }) => `[${code}] ${path === '' ? '' : `${path}: `}${message}`);
  }

  /** What the analysis of the whole mesh says; made anew when something but endpoints has changed. */
  analyze(): readonly Finding[] {
    const snapshot = this.#snapshot;
    if (!snapshot) return [];
    const { configVersion, objects } = snapshot;
    if (this.#analyzed?.configVersion !== configVersion || this.#analyzed.pods !== objects.pods)
      this.#analyzed = {
        configVersion,
        pods: objects.pods,
        findings: analyzeMesh(snapshot.objects, snapshot.mesh.rootNamespace),
      };
    return this.#analyzed.findings;
  }

  /** Calls `listener` when `problems` may have changed, until the returned function is called. */
  onProblems(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Calls `listener` when there is a new snapshot, until the returned function is called. */
  onSnapshot(listener: () => void): () => void {
    this.#followers.add(listener);
    return () => this.#followers.delete(listener);
  }

  /** What a proxy is to have; see `DiscoveryOptions`. */
  resourcesFor(proxy: ProxyNode, anyway: boolean): ResourceSet | null {
    const snapshot = this.#snapshot;
    if (!snapshot) return null;
    if (!anyway && !snapshot.workloadByName.has(`${proxy.namespace}/${proxy.pod}`)) return null;
    const { set } = this.#translate(proxy, snapshot);
    const { secrets } = this.#options;
    if (proxy.kind !== 'router' || !secrets) return set;
    return {
      ...set,
      types: { ...set.types, secret: secrets.of(proxy.namespace, certificatesFor(snapshot, proxy.namespace)) },
    };
  }

  #translate(proxy: ProxyNode, snapshot: Snapshot): Translated {
    const scope = scopeOf(
      { id: proxy.id, metadata: proxy.metadata as JsonObject, userAgentName: proxy.userAgentName },
      snapshot,
    );
    const known = this.#translated.get(scope.key);
    if (known) return known;
    const same = this.#withEndpoints(scope, snapshot);
    if (same) {
      this.#translated.set(scope.key, same);
      return same;
    }
    const { clusters, endpoints, listeners, routes, nameTables, problems } = translate(snapshot, scope);
    const messages = {
      cluster: clusters,
      endpoint: endpoints,
      listener: listeners,
      route: routes,
      nameTable: nameTables,
    };
    const set = encodeResources(`${snapshot.version}`, messages, this.#before.get(scope.key)?.set);
    const translated = { set, problems };
    this.#translated.set(scope.key, translated);
    this.#before.delete(scope.key);
    if (problems.length > 0) for (const listener of this.#listeners) listener();
    return translated;
  }

  /** What a scope had, when nothing but endpoints has changed since. */
  #withEndpoints(scope: Scope, snapshot: Snapshot): Translated | null {
    const before = this.#before.get(scope.key);
    if (!before || snapshot.endpointsChanged === null) return null;
    const seen = snapshot.endpointsChanged.filter((service) => sees(snapshot, scope, service));
    const endpoints = seen.flatMap((service) => endpointsOf(snapshot, scope, service));
    const set = withEndpoints(before.set, `${snapshot.version}`, endpoints);
    return set && { set, problems: before.problems };
  }

  #rebuild(changedAtMs: number): void {
    const startedAtMs = performance.now();
    try {
      const snapshot = buildSnapshot(this.#options.source.read(), this.#snapshot);
      this.#snapshot = snapshot;
      this.#before = this.#translated;
      this.#translated = new Map();
      const tookMs = performance.now() - startedAtMs;
      this.#snapshotTime.observe(tookMs / 1000);
      this.#options.onSnapshot?.(snapshot, tookMs);
    } catch (error) {
      // The proxies keep what they have.
      this.#options.onError(error as Error);
      return;
    }
    this.#discovery?.push(changedAtMs);
    for (const listener of [...this.#listeners, ...this.#followers]) listener();
  }
}

/** Secrets that the Gateways served in a namespace may show, wherever they are. */
function certificatesFor({ gatewayApi }: Snapshot, namespace: string): string[] {
  const own = gatewayApi.ownGateways.filter(({ workloads }) => workloads.namespace === namespace);
  return [...new Set(own.flatMap(({ listeners }) => listeners.flatMap(({ certificates }) => certificates)))].sort();
}

function distinct(problems: readonly Problem[]): Problem[] {
  return [...new Map(problems.map((problem) => [JSON.stringify(problem), problem])).values()];
}

/** Searching for problems must end soon in a mesh of any size. */
const maxTypicalNodes = 200;

function typicalNodes({ objects, mesh }: Snapshot): ScopeNode[] {
  // As pods have it that say nothing else.
  const { ISTIO_META_DNS_CAPTURE: capture } = mesh.defaultConfig.proxyMetadata ?? {};
  const dns: JsonObject = capture === undefined ? {} : { DNS_CAPTURE: capture };
  const { virtualServices, destinationRules, authorizationPolicies, peerAuthentications } = objects;
  const { serviceEntries, telemetries } = objects;
  const policies = [authorizationPolicies, peerAuthentications, objects.sidecars, telemetries];
  const tables = [virtualServices, destinationRules, serviceEntries, ...policies];
  const namespaces = new Set(tables.flatMap((table) => [...table.values()].map(({ metadata }) => metadata.namespace)));
  const sidecars = [...namespaces].map((namespace) => ({
    id: `sidecar~0.0.0.0~any.${namespace}~${namespace}.svc.cluster.local`,
    metadata: { NAMESPACE: namespace ?? '', ...dns },
  }));
  // Sidecars and Telemetries are for chosen workloads: one that has their labels.
  const chosen = [
    ...Array.from(objects.sidecars.values(), ({ metadata, spec }) => ({
      metadata,
      labels: spec.workloadSelector?.labels,
    })),
    ...Array.from(telemetries.values(), ({ metadata, spec }) => ({ metadata, labels: spec.selector?.matchLabels })),
  ].flatMap(({ metadata: { namespace = '' }, labels }) =>
    labels === undefined
      ? []
      : {
          id: `sidecar~0.0.0.0~any.${namespace}~${namespace}.svc.cluster.local`,
          metadata: { NAMESPACE: namespace, LABELS: labels, ...dns },
        },
  );
  const gateways = Array.from(objects.gateways.values(), ({ metadata: { namespace = '' }, spec }) => ({
    id: `router~0.0.0.0~any.${namespace}~${namespace}.svc.cluster.local`,
    metadata: { NAMESPACE: namespace, LABELS: spec.selector ?? {} },
  }));
  const distinctGateways = new Map(gateways.map((node) => [JSON.stringify(node), node])).values();
  return [...sidecars, ...chosen, ...distinctGateways].slice(0, maxTypicalNodes);
}
