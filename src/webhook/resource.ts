/** Injection into whatever holds a pod: Pod, Deployment, StatefulSet, DaemonSet, Job, CronJob, List, … */
import type { ObjectMeta } from '../api/meta.ts';
import type { InjectionConfig } from './config.ts';
import { decide } from './decide.ts';
import { inject } from './inject.ts';
import { readPod } from './pod.ts';
import { type Workload, workloadOf } from './workload.ts';

export interface InjectedResource {
  /** The same value when nothing was injected. */
  object: unknown;
  injected: boolean;
  /** Why something that holds a pod was left alone: `Deployment shop/cart: the pod uses the host network`. */
  skipped: string[];
}

interface Manifest {
  [field: string]: unknown;
  apiVersion?: string;
  kind?: string;
  metadata?: ObjectMeta;
  items?: unknown[];
}

interface Template {
  [field: string]: unknown;
  metadata?: ObjectMeta;
  spec?: { containers?: unknown };
}

/** Throws `InjectionError` that names the object and the field. What holds no pod comes back as it is. */
export function injectResource(object: unknown, config: InjectionConfig): InjectedResource {
  const untouched = { object, injected: false, skipped: [] };
  if (!isMapping(object)) return untouched;
  const manifest: Manifest = object;
  if (manifest.kind === 'List' && Array.isArray(manifest.items)) {
    const items = manifest.items.map((item) => injectResource(item, config));
    return {
      object: items.some(({ injected }) => injected)
        ? { ...manifest, items: items.map((item) => item.object) }
        : object,
      injected: items.some(({ injected }) => injected),
      skipped: items.flatMap(({ skipped }) => skipped),
    };
  }
  const path = templatePath(manifest);
  if (!path) return untouched;
  const template = path.reduce<unknown>(
    (value, field) => (value as Record<string, unknown>)[field],
    manifest,
  ) as Template;
  const { name = '', namespace = '' } = manifest.metadata ?? {};
  const subject = `${manifest.kind} ${namespace ? `${namespace}/` : ''}${name}`;

  const pod = readPod(template, subject);
  const decision = decide(
    {
      metadata: pod.metadata ?? {},
      hostNetwork: pod.spec.hostNetwork === true,
      namespace: pod.metadata?.namespace ?? namespace,
      namespaceLabels: null,
    },
    config,
  );
  if (!decision.inject) return { ...untouched, skipped: [`${subject}: ${decision.explanation}`] };
  const injected = inject(
    { pod, namespace: pod.metadata?.namespace ?? namespace, workload: workloadOfManifest(manifest) },
    config,
  );
  return { object: replaceAt(manifest, path, injected), injected: true, skipped: [] };
}

/** Where the pod is: found by its shape, so that a kind of somebody's own with a pod template is found too. */
function templatePath(manifest: Manifest): string[] | null {
  const paths =
    manifest.kind === 'Pod' && manifest.apiVersion === 'v1'
      ? [[]]
      : [
          ['spec', 'template'],
          ['spec', 'jobTemplate', 'spec', 'template'],
        ];
  for (const path of paths) {
    let at: unknown = manifest;
    for (const field of path) at = isMapping(at) ? at[field] : undefined;
    if (isMapping(at) && isMapping(at.spec) && Array.isArray(at.spec.containers)) return path;
  }
  return null;
}

function workloadOfManifest({ apiVersion = '', kind = '', metadata = {} }: Manifest): Workload {
  return kind === 'Pod' ? workloadOf(metadata) : { apiVersion, kind, name: metadata.name ?? '' };
}

function replaceAt(value: unknown, [field, ...rest]: string[], replacement: unknown): unknown {
  if (field === undefined) return replacement;
  const mapping = value as Record<string, unknown>;
  return { ...mapping, [field]: replaceAt(mapping[field], rest, replacement) };
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
