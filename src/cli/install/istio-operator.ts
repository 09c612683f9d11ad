/**
 * The spec of Istio's IstioOperator → the spec of an IstioInstallation. What has no equivalent is refused by name: an
 * installation that silently lacks what its author wrote is worse than none.
 * Fields: istio/istio, operator/pkg/apis/types.go and the Helm charts' values.
 */
import { CliError, exit } from '../exit.ts';
import { isTree, overlay, type Tree } from './path-setting.ts';

/** Takes a mixture of both specs, which is what `--set` paths give. Returns a spec still to be validated. */
export function installationSpec(given: Tree, where: string): Tree {
  const source = new Fields(given, where);
  const spec: Tree = {};
  // The fields that both have.
  for (const name of ['profile', 'revision', 'hub', 'tag', 'namespace', 'version', 'imagePullSecrets', 'meshConfig'])
    source.take(name, (value) => {
      spec[name] = value;
    });
  source.within('components', (components) => {
    spec.components = componentsOf(components);
  });
  source.within('values', (values) => valuesOf(values, spec));
  // Names of Istio's own files that say nothing about the installation.
  source.ignore('unvalidatedValues', 'compatibilityVersion');
  source.end();
  return spec;
}

function componentsOf(components: Fields): Tree {
  const spec: Tree = {};
  for (const name of ['pilot', 'control'])
    components.within(name, (part) => {
      spec.control = componentOf(part);
      part.end();
    });
  for (const [name, fallback] of [
    ['ingressGateways', 'istio-ingressgateway'],
    ['egressGateways', 'istio-egressgateway'],
  ])
    components.take(name, (value, path) => {
      if (!Array.isArray(value)) throw refusal(path, 'must be a list');
      spec[name] = value.map((each, i) => {
        const part = new Fields(each, `${path}[${i}]`);
        // istioctl's `--set components.egressGateways[0].enabled=true` names none: the profile's is meant.
        const gateway: Tree = { name: fallback };
        for (const [from, to] of [
          ['name', 'name'],
          ['namespace', 'namespace'],
          ['label', 'labels'],
          ['labels', 'labels'],
        ])
          part.take(from, (inner) => {
            gateway[to] = inner;
          });
        Object.assign(gateway, componentOf(part));
        part.end();
        return gateway;
      });
    });
  components.within('base', (base) => {
    base.mustBe('enabled', true, 'the definitions of Istio’s kinds are always installed');
    base.end();
  });
  for (const name of ['cni', 'ztunnel', 'istiodRemote'])
    components.within(name, (part) => {
      part.mustBe('enabled', false, 'there is no such component');
      part.ignore('namespace', 'k8s');
      part.end();
    });
  components.end();
  return spec;
}

function componentOf(part: Fields): Tree {
  const component: Tree = {};
  part.take('enabled', (value) => {
    component.enabled = value;
  });
  part.within('k8s', (k8s) => {
    component.k8s = kubernetesOf(k8s);
  });
  return component;
}

const sameInBoth = [
  'affinity',
  'env',
  'hpa',
  'imagePullPolicy',
  'nodeSelector',
  'podAnnotations',
  'podDisruptionBudget',
  'podLabels',
  'priorityClassName',
  'replicas',
  'resources',
  'service',
  'tolerations',
  'topologySpreadConstraints',
];

function kubernetesOf(k8s: Fields): Tree {
  const settings: Tree = {};
  for (const name of sameInBoth)
    k8s.take(name, (value) => {
      settings[name] = value;
    });
  k8s.take('replicaCount', (value) => {
    settings.replicas = value;
  });
  k8s.take('serviceAnnotations', (value) => {
    settings.service = { ...(settings.service as Tree), annotations: value };
  });
  k8s.within('hpaSpec', (hpa) => {
    const scaler: Tree = {};
    for (const name of ['minReplicas', 'maxReplicas'])
      hpa.take(name, (value) => {
        scaler[name] = value;
      });
    hpa.take('metrics', (value, path) => {
      scaler.targetCpuUtilizationPercent = cpuTarget(value, path);
    });
    hpa.ignore('scaleTargetRef');
    hpa.end();
    settings.hpa = scaler;
  });
  k8s.end();
  return settings;
}

function cpuTarget(metrics: unknown, path: string): number {
  const [metric] = Array.isArray(metrics) && metrics.length === 1 ? metrics : [];
  const source = isTree(metric) && isTree(metric.resource) ? metric.resource : {};
  const percent = isTree(source.target) ? source.target.averageUtilization : source.targetAverageUtilization;
  if (source.name !== 'cpu' || typeof percent !== 'number')
    throw refusal(path, 'only the average utilization of cpu can be scaled by');
  return percent;
}

/** Istio's own images hold no Lateen. */
const istioHub = /^(docker\.io\/istio|istio|gcr\.io\/istio-(release|testing)|registry\.istio\.io\/.*)$/;

function valuesOf(values: Fields, spec: Tree): void {
  values.take('profile', (value) => {
    spec.profile ??= value;
  });
  values.take('revision', (value) => {
    spec.revision ??= value;
  });
  values.take('meshConfig', (value) => {
    spec.meshConfig = overlay(value, spec.meshConfig);
  });
  values.within('global', (global) => {
    for (const [from, to] of [
      ['hub', 'hub'],
      ['tag', 'tag'],
      ['istioNamespace', 'namespace'],
      ['imagePullSecrets', 'imagePullSecrets'],
    ])
      global.take(from, (value) => {
        spec[to] ??= value;
      });
    global.take('imagePullPolicy', (value) => {
      spec.components ??= {};
      const components = spec.components as { control?: { k8s?: Tree } };
      components.control = { ...components.control, k8s: { imagePullPolicy: value, ...components.control?.k8s } };
    });
    global.mustBe('configValidation', true, 'validation is always on');
    global.ignoreEmpty();
    global.end();
  });
  // The last two configure components that are refused when they are enabled.
  values.ignore('defaultRevision', 'cni', 'ztunnel');
  values.ignoreEmpty();
  values.end();
  if (typeof spec.hub === 'string' && istioHub.test(spec.hub))
    throw refusal(
      values.pathOf('global.hub'),
      `${spec.hub} holds Istio's images; leave it out, or name a copy of Lateen's`,
    );
}

function refusal(path: string, why: string): CliError {
  return new CliError(`${path}: ${why}`, { exitCode: exit.data });
}

/** Reads fields out of a mapping and knows which were not read. */
class Fields {
  readonly #left: Tree;
  readonly #path: string;

  constructor(value: unknown, path: string) {
    if (value !== null && value !== undefined && !isTree(value)) throw refusal(path, 'must be a mapping');
    this.#left = { ...(value as Tree | null | undefined) };
    this.#path = path;
  }

  pathOf(name: string): string {
    return this.#path ? `${this.#path}.${name}` : name;
  }

  take(name: string, use: (value: unknown, path: string) => void): void {
    const value = this.#left[name];
    delete this.#left[name];
    if (value !== undefined && value !== null && value !== '') use(value, this.pathOf(name));
  }

  within(name: string, use: (fields: Fields) => void): void {
    this.take(name, (value, path) => use(new Fields(value, path)));
  }

  mustBe(name: string, expected: boolean, why: string): void {
    this.take(name, (value, path) => {
      if (value !== expected) throw refusal(path, `is ${JSON.stringify(value)}, but ${why}`);
    });
  }

  ignore(...names: string[]): void {
    for (const name of names) delete this.#left[name];
  }

  /** Drops mappings that hold nothing but empty mappings: Istio's profiles are full of them. */
  ignoreEmpty(): void {
    for (const [name, value] of Object.entries(this.#left)) if (holdsNothing(value)) delete this.#left[name];
  }

  end(): void {
    const [name] = Object.entries(this.#left).find(([, value]) => value !== undefined && value !== null) ?? [];
    if (name !== undefined) throw refusal(this.pathOf(name), 'has no equivalent in an IstioInstallation');
  }
}

function holdsNothing(value: unknown): boolean {
  return value === null || value === '' || (isTree(value) && Object.values(value).every(holdsNothing));
}
