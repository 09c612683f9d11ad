/** What is checked of an object's `metadata`. */
import type { Kind } from './kind.ts';
import { type Report, show } from './schema/problem.ts';

const maxNameLength = 253;
const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

/** Internal to Istio's control plane: a user who could set them would act for other namespaces. */
const internalAnnotations = ['internal.istio.io/parents', 'internal.istio.io/parent-namespace'];
const alwaysReject = 'internal.istio.io/webhook-always-reject';

/** Returns whether `metadata` has the shape of `ObjectMeta`. */
export function checkMetadata({ kind, scope }: Kind, metadata: unknown, report: Report): boolean {
  if (metadata === undefined) {
    report.error(['metadata', 'name'], 'is required', 'required');
    return false;
  }
  if (typeof metadata !== 'object' || metadata === null || Array.isArray(metadata)) {
    report.error(['metadata'], `must be an object, is ${show(metadata)}`, 'type');
    return false;
  }
  const { name, generateName, namespace, labels, annotations } = metadata as Record<string, unknown>;
  if ((name === undefined || name === '') && !generateName)
    report.error(['metadata', 'name'], 'is required', 'required');
  else if (name !== undefined && name !== '' && typeof name !== 'string') {
    report.error(['metadata', 'name'], `must be a string, is ${show(name)}`, 'type');
    return false;
  } else if (typeof name === 'string' && name !== '' && (name.length > maxNameLength || !dnsSubdomain.test(name)))
    report.error(['metadata', 'name'], `must be a DNS name in lower case, is ${show(name)}`, 'format');

  if (namespace !== undefined && typeof namespace !== 'string') {
    report.error(['metadata', 'namespace'], `must be a string, is ${show(namespace)}`, 'type');
    return false;
  }
  if (namespace && scope === 'Cluster')
    report.error(['metadata', 'namespace'], 'must not be set: an object of this kind has no namespace', 'conflict');

  const mapsAreSound = [
    ['labels', labels],
    ['annotations', annotations],
  ].map(([field, map]) => isTextMap(field as string, map, report));
  if (!mapsAreSound.every(Boolean)) return false;

  for (const key of internalAnnotations)
    if (Object.hasOwn(annotations ?? {}, key))
      report.error(['metadata', 'annotations', key], 'must not be set by users');
  if (Object.hasOwn(annotations ?? {}, alwaysReject))
    report.error(['metadata', 'annotations', alwaysReject], 'asks for the object to be refused');
  if (kind !== 'AuthorizationPolicy' && Object.hasOwn(annotations ?? {}, 'istio.io/dry-run'))
    report.error(['metadata', 'annotations', 'istio.io/dry-run'], `has no meaning on a ${kind}; remove it`);
  return true;
}

function isTextMap(field: string, map: unknown, report: Report): boolean {
  if (map === undefined || map === null) return true;
  if (typeof map !== 'object' || Array.isArray(map)) {
    report.error(['metadata', field], `must be an object, is ${show(map)}`, 'type');
    return false;
  }
  let sound = true;
  for (const [key, value] of Object.entries(map))
    if (typeof value !== 'string') {
      report.error(['metadata', field, key], `must be a string, is ${show(value)}`, 'type');
      sound = false;
    }
  return sound;
}
